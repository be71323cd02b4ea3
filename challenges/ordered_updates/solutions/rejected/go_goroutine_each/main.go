// A goroutine for each change; see chains.go and updates.go.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"
)

const handOverPatience = 30 * time.Second

type service struct {
	kafka  *kgo.Client
	chains *chains
}

func (s *service) run(ctx context.Context) error {
	for {
		polling, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		fetches := s.kafka.PollFetches(polling)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		for _, record := range fetches.Records() {
			var c change
			if err := json.Unmarshal(record.Value, &c); err != nil {
				return err
			}
			s.chains.add(&work{record: record, change: c})
		}
		if err := s.chains.failure(); err != nil {
			return err
		}
		s.commit(context.WithoutCancel(ctx))
		s.kafka.AllowRebalance()
	}
}

func (s *service) commit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if done := s.chains.finished(); len(done) > 0 {
		if err := s.kafka.CommitRecords(ctx, done...); err != nil {
			log.Printf("not committed: %v", err)
		}
	}
}

func (s *service) revoked(ctx context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.chains.drop(partitions, handOverPatience)
	s.commit(context.WithoutCancel(ctx))
	s.chains.forget(partitions)
}

func (s *service) lost(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.chains.drop(partitions, 0)
	s.chains.forget(partitions)
}

func start(ctx context.Context) error {
	settings, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	settings.MaxConns = 16
	database, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return err
	}
	if err := createTable(ctx, database); err != nil {
		return err
	}
	u := &updates{database: database}
	s := &service{chains: newChains(u)}
	s.kafka, err = kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA_BOOTSTRAP_SERVERS")),
		kgo.ClientID(os.Getenv("INSTANCE_ID")),
		kgo.ConsumerGroup(os.Getenv("GROUP_ID")),
		kgo.ConsumeTopics(os.Getenv("CHANGES_TOPIC")),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.RebalanceTimeout(2*handOverPatience),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.lost),
	)
	if err != nil {
		return err
	}
	u.kafka = s.kafka
	err = s.run(ctx)
	s.chains.dropAll(3 * time.Second)
	s.commit(context.WithoutCancel(ctx))
	s.kafka.CloseAllowingRebalance()
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := start(ctx); err != nil {
		log.Fatal(err)
	}
}
