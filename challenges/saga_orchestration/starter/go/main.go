// Takes orders. It connects and asks the stock; what is missing is the saga.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
	Amount   int64  `json:"amount"`
}

type Reply struct {
	Command string `json:"command"`
	Order   string `json:"order"`
	Service string `json:"service"`
	Action  string `json:"action"`
	Status  string `json:"status"`
}

type Orchestrator struct {
	database *pgx.Conn
	kafka    *kgo.Client
}

func (o *Orchestrator) run(ctx context.Context) error {
	for {
		fetches := o.kafka.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, record := range fetches.Records() {
			if err := o.take(ctx, record); err != nil {
				return err
			}
		}
		if err := o.kafka.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
	}
}

func (o *Orchestrator) take(ctx context.Context, record *kgo.Record) error {
	if record.Topic == os.Getenv("ORDERS_TOPIC") {
		var order Order
		if err := json.Unmarshal(record.Value, &order); err != nil {
			return err
		}
		return o.onOrder(ctx, order)
	}
	var reply Reply
	if err := json.Unmarshal(record.Value, &reply); err != nil {
		return err
	}
	return o.onReply(ctx, reply)
}

func (o *Orchestrator) onOrder(ctx context.Context, order Order) error {
	log.Printf("order %+v", order)
	return o.send(ctx, "STOCK_COMMANDS_TOPIC", order.ID, map[string]any{
		"id":       order.ID + ":reserve",
		"order":    order.ID,
		"action":   "reserve",
		"sku":      order.SKU,
		"quantity": order.Quantity,
	})
}

func (o *Orchestrator) onReply(ctx context.Context, reply Reply) error {
	log.Printf("reply %+v", reply)
	return nil
}

func (o *Orchestrator) send(ctx context.Context, variable, key string, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	record := &kgo.Record{Topic: os.Getenv(variable), Key: []byte(key), Value: encoded}
	return o.kafka.ProduceSync(ctx, record).FirstErr()
}

func start(ctx context.Context) error {
	database, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer database.Close(context.Background())
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA_BOOTSTRAP_SERVERS")),
		kgo.ClientID(os.Getenv("INSTANCE_ID")),
		kgo.ConsumerGroup(os.Getenv("GROUP_ID")),
		kgo.ConsumeTopics(os.Getenv("ORDERS_TOPIC"), os.Getenv("REPLIES_TOPIC")),
		kgo.DisableAutoCommit(),
	)
	if err != nil {
		return err
	}
	defer kafka.Close()
	return (&Orchestrator{database, kafka}).run(ctx)
}

func main() {
	log.SetFlags(0)
	// Done when SIGTERM comes.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := start(ctx); err != nil {
		log.Fatal(err)
	}
}
