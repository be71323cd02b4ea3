package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"
)

type change struct {
	ID      string `json:"id"`
	Item    string `json:"item"`
	Version int64  `json:"version"`
	Stock   int64  `json:"stock"`
}

// updates apply a change to the database, if it is not applied, and publish it.
type updates struct {
	database *pgxpool.Pool
	kafka    *kgo.Client
}

func createTable(ctx context.Context, database *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, database, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(7)"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "create table if not exists versions"+
			" (item text, version bigint, primary key (item, version))")
		return err
	})
}

func (u *updates) handle(ctx context.Context, c change) error {
	if err := u.apply(ctx, c); err != nil {
		return err
	}
	return u.publish(ctx, c)
}

func (u *updates) apply(ctx context.Context, c change) error {
	for {
		err := pgx.BeginFunc(ctx, u.database, func(tx pgx.Tx) error { return applyOnce(ctx, tx, c) })
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || (refused.Code != "40001" && refused.Code != "40P01") {
			return err
		}
		log.Printf("%s again: %v", c.ID, err)
	}
}

func applyOnce(ctx context.Context, tx pgx.Tx, c change) error {
	// Nobody else may look at this item until the end of the transaction.
	_, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtextextended($1, 0))", c.Item)
	if err != nil {
		return err
	}
	var last int64
	err = tx.QueryRow(ctx,
		"select coalesce(max(version), 0) from versions where item = $1", c.Item).Scan(&last)
	if err != nil || c.Version <= last {
		return err
	}
	_, err = tx.Exec(ctx, "insert into versions values ($1, $2)", c.Item, c.Version)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx,
		"insert into applied (change_id, item, version, stock) values ($1, $2, $3, $4)",
		c.ID, c.Item, c.Version, c.Stock)
	return err
}

func (u *updates) publish(ctx context.Context, c change) error {
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	record := &kgo.Record{Topic: os.Getenv("UPDATES_TOPIC"), Key: []byte(c.Item), Value: value}
	u.kafka.Produce(ctx, record, func(_ *kgo.Record, err error) {
		if err != nil {
			log.Printf("%s is not published: %v", c.ID, err)
		}
	})
	return nil
}
