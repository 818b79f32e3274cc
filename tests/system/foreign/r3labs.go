// SPDX-License-Identifier: PostgreSQL

// Command r3labs listens to os.Args[1] with github.com/r3labs/sse and prints the data of each message,
// a line each.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/r3labs/sse/v2"
	"gopkg.in/cenkalti/backoff.v1"
)

func main() {
	client := sse.NewClient(os.Args[1])
	client.ReconnectStrategy = backoff.NewConstantBackOff(10 * time.Millisecond)
	for {
		_ = client.SubscribeRaw(func(message *sse.Event) { fmt.Println(string(message.Data)) })
		time.Sleep(10 * time.Millisecond)
	}
}
