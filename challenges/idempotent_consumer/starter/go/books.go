package main

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5"
)

// Books are a ledger and the balances of all accounts, in PostgreSQL.
type Books struct {
	database *pgx.Conn
}

// Book a payment, unless it is booked already.
func (books *Books) Book(ctx context.Context, payment Payment) error {
	// TODO (yours): write the ledger row and the balance. See the statement for what may happen.
	log.Printf("received %s: %+d on %s", payment.ID, payment.Amount, payment.Account)
	return nil
}
