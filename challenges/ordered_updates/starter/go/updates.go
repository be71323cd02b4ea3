package main

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Updates apply a change to the database, and publish it.
type Updates struct {
	database *pgx.Conn
	kafka    *kgo.Client
}

// Handle applies a change, then publishes it.
func (updates *Updates) Handle(ctx context.Context, change Change) error {
	// TODO (yours): write the row and the record. See the statement for what may happen.
	log.Printf("received %s: %s version %d", change.ID, change.Item, change.Version)
	return nil
}
