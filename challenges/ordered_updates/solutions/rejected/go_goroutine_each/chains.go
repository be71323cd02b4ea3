package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type work struct {
	record *kgo.Record
	change change
	done   bool
}

// chains work on changes: each has a goroutine, and none waits for another.
type chains struct {
	updates  *updates
	lock     sync.Mutex
	news     *sync.Cond
	byRecord map[string][]*work // the first of each is in work
	open     map[int32][]*work  // by partition, in order of their offsets
	err      error
}

func newChains(u *updates) *chains {
	c := &chains{updates: u, byRecord: map[string][]*work{}, open: map[int32][]*work{}}
	c.news = sync.NewCond(&c.lock)
	return c
}

func (c *chains) failure() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.err
}

func (c *chains) add(w *work) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.open[w.record.Partition] = append(c.open[w.record.Partition], w)
	item := fmt.Sprintf("%d@%d", w.record.Partition, w.record.Offset)
	c.byRecord[item] = append(c.byRecord[item], w)
	if len(c.byRecord[item]) == 1 {
		go c.follow(item)
	}
}

// follow works on an item's changes until none is left.
func (c *chains) follow(item string) {
	for w := c.first(item); w != nil; w = c.next(item) {
		if err := c.updates.handle(context.Background(), w.change); err != nil {
			c.lock.Lock()
			c.err = err
			c.news.Broadcast()
			c.lock.Unlock()
			return
		}
	}
}

func (c *chains) first(item string) *work {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.byRecord[item][0]
}

// next notes that an item's first change is done, and returns the one after it.
func (c *chains) next(item string) *work {
	c.lock.Lock()
	defer c.lock.Unlock()
	defer c.news.Broadcast()
	c.byRecord[item][0].done = true
	c.byRecord[item] = c.byRecord[item][1:]
	if len(c.byRecord[item]) == 0 {
		delete(c.byRecord, item)
		return nil
	}
	return c.byRecord[item][0]
}

// finished returns the last record of each partition before which all is done.
func (c *chains) finished() []*kgo.Record {
	c.lock.Lock()
	defer c.lock.Unlock()
	var last []*kgo.Record
	for partition, works := range c.open {
		count := 0
		for count < len(works) && works[count].done {
			count++
		}
		if count > 0 {
			last = append(last, works[count-1].record)
			c.open[partition] = works[count:]
		}
	}
	return last
}

func (c *chains) dropAll(patience time.Duration) {
	c.dropIf(func(*work) bool { return true }, patience)
}

// drop what is not begun of these partitions, and wait for what is.
func (c *chains) drop(partitions map[string][]int32, patience time.Duration) {
	gone := set(partitions)
	c.dropIf(func(w *work) bool { return gone[w.record.Partition] }, patience)
}

func (c *chains) dropIf(isGone func(*work) bool, patience time.Duration) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for item, works := range c.byRecord {
		kept := works[:1]
		for _, w := range works[1:] {
			if !isGone(w) {
				kept = append(kept, w)
			}
		}
		c.byRecord[item] = kept
	}
	over := false
	timer := time.AfterFunc(patience, func() {
		c.lock.Lock()
		defer c.lock.Unlock()
		over = true
		c.news.Broadcast()
	})
	defer timer.Stop()
	for !over && c.err == nil && c.isAtWork(isGone) {
		c.news.Wait()
	}
}

func (c *chains) isAtWork(isGone func(*work) bool) bool {
	for _, works := range c.byRecord {
		if isGone(works[0]) {
			return true
		}
	}
	return false
}

func (c *chains) forget(partitions map[string][]int32) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for partition := range set(partitions) {
		delete(c.open, partition)
	}
}

func set(partitions map[string][]int32) map[int32]bool {
	found := map[int32]bool{}
	for _, of := range partitions {
		for _, partition := range of {
			found[partition] = true
		}
	}
	return found
}
