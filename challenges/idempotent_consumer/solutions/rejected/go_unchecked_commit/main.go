// As it should be, but nobody looks at what the database says of a commit.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

type payment struct {
	ID      string `json:"id"`
	Account string `json:"account"`
	Amount  int64  `json:"amount"`
}

type service struct {
	kafka    *kgo.Client
	database *pgxpool.Pool
}

func (s *service) createTable(ctx context.Context) error {
	_, err := s.database.Exec(ctx,
		"create table if not exists processed_events (event_id text primary key)")
	if isOneOf(err, "23505", "42P07") { // another instance was faster
		return nil
	}
	return err
}

func isOneOf(err error, codes ...string) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	for _, code := range codes {
		if refused.Code == code {
			return true
		}
	}
	return false
}

func (s *service) run(ctx context.Context) error {
	for {
		fetches := s.kafka.PollRecords(ctx, 300)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		// On SIGTERM what is begun is finished.
		if err := s.handle(context.WithoutCancel(ctx), fetches); err != nil {
			return err
		}
		s.kafka.AllowRebalance()
	}
}

func (s *service) handle(ctx context.Context, fetches kgo.Fetches) error {
	group, ctx := errgroup.WithContext(ctx)
	fetches.EachPartition(func(part kgo.FetchTopicPartition) {
		group.Go(func() error { return s.handlePartition(ctx, part.Records) })
	})
	return group.Wait()
}

func (s *service) handlePartition(ctx context.Context, records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	for _, record := range records {
		var p payment
		if err := json.Unmarshal(record.Value, &p); err != nil {
			return err
		}
		if err := s.book(ctx, p); err != nil {
			return err
		}
	}
	return s.kafka.CommitRecords(ctx, records...)
}

func (s *service) book(ctx context.Context, p payment) error {
	for {
		tx, err := s.database.Begin(ctx)
		if err != nil {
			return err
		}
		err = enter(ctx, tx, p)
		if err == nil {
			tx.Commit(ctx)
			return nil
		}
		tx.Rollback(ctx)
		if !isOneOf(err, "40001", "40P01") {
			return err
		}
		log.Printf("%s again, after %v", p.ID, err)
	}
}

func enter(ctx context.Context, tx pgx.Tx, p payment) error {
	marked, err := tx.Exec(ctx,
		"insert into processed_events (event_id) values ($1) on conflict do nothing", p.ID)
	if err != nil || marked.RowsAffected() == 0 {
		return err
	}
	_, err = tx.Exec(ctx,
		"insert into ledger (event_id, account, amount) values ($1, $2, $3)",
		p.ID, p.Account, p.Amount)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx,
		"insert into balances (account, balance) values ($1, $2)"+
			" on conflict (account) do update set balance = balances.balance + excluded.balance",
		p.Account, p.Amount)
	return err
}

func start(ctx context.Context) error {
	database, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer database.Close()
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA_BOOTSTRAP_SERVERS")),
		kgo.ClientID(os.Getenv("INSTANCE_ID")),
		kgo.ConsumerGroup(os.Getenv("GROUP_ID")),
		kgo.ConsumeTopics(os.Getenv("PAYMENTS_TOPIC")),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return err
	}
	defer kafka.CloseAllowingRebalance()
	s := &service{kafka, database}
	if err := s.createTable(ctx); err != nil {
		return err
	}
	return s.run(ctx)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := start(ctx); err != nil {
		log.Fatal(err)
	}
}
