// SPDX-License-Identifier: Apache-2.0

// A server on the Go library centrifuge, for comparison with weftcast: anonymous clients may subscribe and
// publish, nothing is kept.
//
//	centrifugepeer [-write-delay DURATION] [-port N]     prints `listening 127.0.0.1:PORT` and serves
//
// The queue of a client is made so large that the library does not close who is behind for a moment, as
// weftcast does not either. With -write-delay it collects messages for that long before each write, with no
// bound on their number: fewer and larger writes.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	port := flag.Int("port", 0, "port on 127.0.0.1, 0: a free one")
	delay := flag.Duration("write-delay", 0, "collect messages this long before a write")
	flag.Parse()

	node, err := centrifuge.New(centrifuge.Config{ClientQueueMaxSize: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		reply := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}, WriteDelay: *delay}
		if *delay > 0 {
			reply.MaxMessagesInFrame = -1
		}
		return reply, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
		c.OnPublish(func(_ centrifuge.PublishEvent, answer centrifuge.PublishCallback) {
			answer(centrifuge.PublishReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}

	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin:  func(*http.Request) bool { return true },
		WriteTimeout: 10 * time.Second,
	}))
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", ln.Addr())
	log.Fatal(http.Serve(ln, nil))
}
