package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Payment is a payment as it is announced; the amount is in cents.
type Payment struct {
	ID      string `json:"id"`
	Account string `json:"account"`
	Amount  int64  `json:"amount"`
}

// readPayments reads the topic, one record at a time, until ctx is done.
func readPayments(ctx context.Context, books *Books) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA_BOOTSTRAP_SERVERS")),
		kgo.ClientID(os.Getenv("INSTANCE_ID")),
		kgo.ConsumerGroup(os.Getenv("GROUP_ID")),
		kgo.ConsumeTopics(os.Getenv("PAYMENTS_TOPIC")),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			var payment Payment
			if err := json.Unmarshal(record.Value, &payment); err != nil {
				return err
			}
			if err := books.Book(ctx, payment); err != nil {
				return err
			}
		}
	}
}
