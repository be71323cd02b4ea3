// Applies and publishes changes. It connects and reads; the work itself is missing.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5"
)

func main() {
	log.SetFlags(0)
	log.Printf("%s starts, group %s", os.Getenv("INSTANCE_ID"), os.Getenv("GROUP_ID"))
	// Done when SIGTERM comes.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	database, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer database.Close(context.Background())
	if err := readChanges(ctx, &Updates{database: database}); err != nil {
		log.Fatal(err)
	}
	log.Print("stopped")
}
