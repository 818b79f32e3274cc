// SPDX-License-Identifier: PostgreSQL

// Command gorilla listens to os.Args[1] with github.com/gorilla/websocket: asks once, prints each message,
// and at last the close code.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

func main() {
	dialer := websocket.Dialer{Subprotocols: []string{"pgherald"}, EnableCompression: true}
	c, _, err := dialer.Dial(os.Args[1], nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c.SetPongHandler(func(data string) error {
		fmt.Printf("{\"event\": \"pong\", \"data\": %d}\n", len(data))
		return nil
	})
	_ = c.WriteControl(websocket.PingMessage, []byte(strings.Repeat("x", 125)), time.Now().Add(time.Minute))
	_ = c.WriteJSON(map[string]string{"action": "ping", "request_id": strings.Repeat("κ", 20)})
	for {
		_, message, err := c.ReadMessage()
		if err != nil {
			if end, ok := err.(*websocket.CloseError); ok {
				fmt.Printf("{\"event\": \"close\", \"data\": %d}\n", end.Code)
			}
			return
		}
		fmt.Println(string(message))
	}
}
