// An orchestrator with a transactional outbox, in one loop; see sagas.go and steps.go.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

type service struct {
	kafka *kgo.Client
	sagas *sagas
}

func (s *service) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.turn(ctx, context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// turn takes what has come, then what is overdue, then publishes; what is begun is finished.
func (s *service) turn(waiting, working context.Context) error {
	polling, cancel := context.WithTimeout(waiting, 100*time.Millisecond)
	records := s.kafka.PollRecords(polling, 100).Records()
	cancel()
	for _, record := range records {
		if err := s.take(working, record); err != nil {
			return err
		}
	}
	if len(records) > 0 {
		if err := s.kafka.CommitRecords(working, records...); err != nil {
			log.Printf("not committed: %v", err)
		}
	}
	s.kafka.AllowRebalance()
	if err := s.sagas.overdue(working); err != nil {
		return err
	}
	return s.sagas.publish(working, s.kafka)
}

func (s *service) take(ctx context.Context, record *kgo.Record) error {
	if record.Topic == os.Getenv("ORDERS_TOPIC") {
		var o order
		if err := json.Unmarshal(record.Value, &o); err != nil {
			return err
		}
		return s.sagas.begin(ctx, o)
	}
	var r reply
	if err := json.Unmarshal(record.Value, &r); err != nil {
		return err
	}
	return s.sagas.reply(ctx, r)
}

func start(ctx context.Context) error {
	database, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer database.Close(context.Background())
	s := &service{sagas: &sagas{database}}
	if err := s.sagas.createTables(ctx); err != nil {
		return err
	}
	s.kafka, err = kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA_BOOTSTRAP_SERVERS")),
		kgo.ClientID(os.Getenv("INSTANCE_ID")),
		kgo.ConsumerGroup(os.Getenv("GROUP_ID")),
		kgo.ConsumeTopics(os.Getenv("ORDERS_TOPIC"), os.Getenv("REPLIES_TOPIC")),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return err
	}
	defer s.kafka.CloseAllowingRebalance()
	return s.run(ctx)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := start(ctx); err != nil {
		log.Fatal(err)
	}
}
