package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	overdueSeconds = 2.2
	againSeconds   = 0.4
	tables         = `
		create table if not exists sagas (
			order_id text primary key,
			body     jsonb not null,
			state    text not null,
			due      timestamptz
		);
		create table if not exists outbox (
			number   bigserial primary key,
			topic    text not null,
			order_id text not null,
			value    jsonb not null
		);`
)

// sagas and their outbox: every change of a saga writes its message in the same transaction.
type sagas struct {
	database *pgx.Conn
}

type saga struct {
	Body  order
	State string
}

type message struct {
	Number int64
	Topic  string
	Order  string
	Value  []byte
}

func (s *sagas) createTables(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.database, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(1)"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, tables)
		return err
	})
}

func (s *sagas) begin(ctx context.Context, o order) error {
	return pgx.BeginFunc(ctx, s.database, func(tx pgx.Tx) error {
		new, err := tx.Exec(ctx,
			"insert into sagas values ($1, $2, $3, null) on conflict do nothing", o.ID, o, first)
		if err != nil || new.RowsAffected() == 0 {
			return err
		}
		return enter(ctx, tx, o, first)
	})
}

func (s *sagas) reply(ctx context.Context, r reply) error {
	return pgx.BeginFunc(ctx, s.database, func(tx pgx.Tx) error {
		found, err := list(ctx, tx,
			"select body, state from sagas where order_id = $1 for update", r.Order)
		if err != nil || len(found) == 0 || idOf(r.Order, found[0].State) != r.Command {
			return err
		}
		return answered(ctx, tx, found[0], r.Status)
	})
}

func answered(ctx context.Context, tx pgx.Tx, s saga, status string) error {
	if status == "unavailable" {
		_, err := tx.Exec(ctx,
			"update sagas set due = now() + make_interval(secs => $1) where order_id = $2",
			againSeconds, s.Body.ID)
		return err
	}
	return enter(ctx, tx, s.Body, after(s.State, status))
}

// overdue takes up the sagas whose reply is overdue, or was "unavailable".
func (s *sagas) overdue(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.database, func(tx pgx.Tx) error {
		found, err := list(ctx, tx, "select body, state from sagas where due < now()"+
			" order by due limit 50 for update skip locked")
		if err != nil {
			return err
		}
		for _, each := range found {
			if err := enter(ctx, tx, each.Body, after(each.State, "overdue")); err != nil {
				return err
			}
		}
		return nil
	})
}

func list(ctx context.Context, tx pgx.Tx, sql string, values ...any) ([]saga, error) {
	rows, err := tx.Query(ctx, sql, values...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[saga])
}

func enter(ctx context.Context, tx pgx.Tx, o order, state string) error {
	topic, value := os.Getenv("ORDER_OUTCOMES_TOPIC"), map[string]any{"order": o.ID, "outcome": state}
	var wait *float64
	if !ends[state] {
		seconds := overdueSeconds
		topic, value, wait = topicOf(state), command(o, state), &seconds
	}
	_, err := tx.Exec(ctx,
		"insert into outbox (topic, order_id, value) values ($1, $2, $3)", topic, o.ID, value)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx,
		"update sagas set state = $1, due = now() + make_interval(secs => $2) where order_id = $3",
		state, wait, o.ID)
	return err
}

// publish hands what waits in the outbox to Kafka, and forgets it once that has succeeded.
func (s *sagas) publish(ctx context.Context, kafka *kgo.Client) error {
	return pgx.BeginFunc(ctx, s.database, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "select number, topic, order_id, value from outbox"+
			" order by number limit 100 for update skip locked")
		if err != nil {
			return err
		}
		messages, err := pgx.CollectRows(rows, pgx.RowToStructByPos[message])
		if err != nil || len(messages) == 0 {
			return err
		}
		if err := send(ctx, kafka, messages); err != nil {
			return err
		}
		numbers := make([]int64, len(messages))
		for i, each := range messages {
			numbers[i] = each.Number
		}
		_, err = tx.Exec(ctx, "delete from outbox where number = any($1)", numbers)
		return err
	})
}

func send(ctx context.Context, kafka *kgo.Client, messages []message) error {
	records := make([]*kgo.Record, len(messages))
	for i, each := range messages {
		value := json.RawMessage(each.Value)
		records[i] = &kgo.Record{Topic: each.Topic, Key: []byte(each.Order), Value: value}
	}
	return kafka.ProduceSync(ctx, records...).FirstErr()
}
