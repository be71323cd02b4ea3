package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Change is a change of an item's stock.
type Change struct {
	ID      string `json:"id"`
	Item    string `json:"item"`
	Version int64  `json:"version"`
	Stock   int64  `json:"stock"`
}

// readChanges reads the topic, one record at a time, until ctx is done. The client writes, too.
func readChanges(ctx context.Context, updates *Updates) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA_BOOTSTRAP_SERVERS")),
		kgo.ClientID(os.Getenv("INSTANCE_ID")),
		kgo.ConsumerGroup(os.Getenv("GROUP_ID")),
		kgo.ConsumeTopics(os.Getenv("CHANGES_TOPIC")),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	updates.kafka = client
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			var change Change
			if err := json.Unmarshal(record.Value, &change); err != nil {
				return err
			}
			if err := updates.Handle(ctx, change); err != nil {
				return err
			}
		}
	}
}
