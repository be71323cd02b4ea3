package main

import (
	"os"

	"github.com/google/uuid"
)

type order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
	Amount   int64  `json:"amount"`
}

type reply struct {
	Command string `json:"command"`
	Order   string `json:"order"`
	Status  string `json:"status"`
}

// A saga's state is the action that it waits for, or how it ended.
const first = "reserve"

var ends = map[string]bool{"completed": true, "cancelled": true}

type event struct{ state, status string }

var next = map[event]string{
	{"reserve", "done"}:    "charge",
	{"charge", "done"}:     "ship",
	{"ship", "done"}:       "deduct",
	{"deduct", "done"}:     "completed",
	{"reserve", "refused"}: "cancelled",
	{"charge", "refused"}:  "release",
	{"ship", "refused"}:    "refund",
	{"refund", "done"}:     "release",
	{"release", "done"}:    "cancelled",
	// Nobody knows whether it was done: undo it, which settles it either way.
	{"reserve", "overdue"}: "release",
	{"charge", "overdue"}:  "refund",
}

// after returns the next state; the same one when the action must be asked for again.
func after(state, status string) string {
	if found, ok := next[event{state, status}]; ok {
		return found
	}
	return state
}

func topicOf(action string) string {
	switch action {
	case "charge", "refund":
		return os.Getenv("PAYMENT_COMMANDS_TOPIC")
	case "ship":
		return os.Getenv("SHIPPING_COMMANDS_TOPIC")
	}
	return os.Getenv("STOCK_COMMANDS_TOPIC")
}

// idOf returns the id of an order's command for an action: the same whenever it is asked for.
func idOf(order, action string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(order+"/"+action)).String()
}

func command(o order, action string) map[string]any {
	value := map[string]any{"id": idOf(o.ID, action), "order": o.ID, "action": action}
	switch action {
	case "reserve", "deduct":
		value["sku"], value["quantity"] = o.SKU, o.Quantity
	case "charge":
		value["customer"], value["amount"] = o.Customer, o.Amount
	case "ship":
		value["customer"] = o.Customer
	case "release":
		value["undoes"] = idOf(o.ID, "reserve")
	case "refund":
		value["undoes"] = idOf(o.ID, "charge")
	}
	return value
}
