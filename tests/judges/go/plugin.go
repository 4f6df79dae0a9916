// Says about delivery what it is told to, and logs what it is asked, as ../src/lib.rs does.
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"wasmail"
	"wasmail/message"
)

func main() {}

func init() {
	wasmail.Register(wasmail.Plugin{
		Manifest: wasmail.Manifest{
			Name:       "judges",
			Version:    "0.1.0",
			ReadsNotes: []string{"/judges/subject"},
			Needs:      []string{"take-messages", "route"},
		},
		Configure: func(config []byte) error { return json.Unmarshal(config, &sayings) },
		DataPost:  dataPost,
		PreSend:   preSend,
		Send:      send,
		GetMx:     getMx,
		Delivered: delivered,
		Deferred:  deferred,
		Bounce:    bounce,
	})
}

// What to say, by hook and domain, as `pre-send example.org`.
var sayings map[string]string

// at is a verdict's name and what stands behind it, at the first attempt; later it has no opinion.
func at(hook string, c *wasmail.Consignment) (verdict, rest string) {
	fresh := true
	var targets []string
	for _, target := range c.Targets {
		targets = append(targets, fmt.Sprintf("%s#%d", target.Address, target.Attempts))
		fresh = fresh && target.Attempts == 0
	}
	noted, ok := wasmail.Note[string](c.Notes, "/judges/subject")
	if !ok {
		noted = "nothing"
	}
	slog.Info(fmt.Sprintf("%s %s [%s] from %s, noted %s", hook, c.Destination, strings.Join(targets, " "), c.ReversePath, noted))
	if !fresh && hook != "bounce" {
		return "next", ""
	}
	verdict, rest, _ = strings.Cut(sayings[hook+" "+c.Destination], " ")
	return verdict, rest
}

func number(text string) int {
	number, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return number
}

func wait(text string) *wasmail.Answer {
	if text == "" {
		return wasmail.DelayAsScheduled()
	}
	return wasmail.Delay(uint32(number(text)))
}

func tell(what string, answers []wasmail.TargetAnswer) {
	for at := range answers {
		slog.Info(what + ": " + wasmail.AnswerText(&answers[at]))
	}
}

func subject() string {
	subject, _ := message.Value("Subject")
	return subject
}

func dataPost(c *wasmail.Connection, t *wasmail.Transaction) *wasmail.Answer {
	return wasmail.Next().SetNote(wasmail.OfTransaction, "/judges/subject", subject())
}

func preSend(c *wasmail.Consignment) *wasmail.Answer {
	slog.Info(fmt.Sprintf("about %s, %d octets of body", subject(), message.BodySize()))
	switch verdict, rest := at("pre-send", c); verdict {
	case "delay":
		return wait(rest)
	case "bounce":
		return wasmail.Bounce(rest)
	case "route":
		return wasmail.Route(rest)
	case "wrong":
		return wasmail.Silence()
	case "change":
		return wasmail.Next().SetNote(wasmail.OfTransaction, "/judges/late", true)
	case "trap":
		panic("told to")
	}
	return wasmail.Next()
}

func send(c *wasmail.Consignment) *wasmail.Answer {
	verdict, rest := at("send", c)
	if verdict != "done" {
		return nil
	}
	code, text, _ := strings.Cut(rest, " ")
	var answers []wasmail.TargetAnswer
	for target := range c.Targets {
		answers = append(answers, wasmail.AnswerFor(target, uint16(number(code)), text+" "+subject()))
	}
	return wasmail.Done(answers...)
}

func getMx(c *wasmail.Consignment) *wasmail.Answer {
	switch verdict, rest := at("get-mx", c); verdict {
	case "exchange":
		host, port, _ := strings.Cut(rest, ":")
		return wasmail.Exchanges(wasmail.ExchangeAt(10, host, uint16(number(port))))
	case "none":
		return wasmail.Exchanges()
	case "delay":
		return wait(rest)
	}
	return wasmail.Next()
}

func delivered(c *wasmail.Consignment, answers []wasmail.TargetAnswer) {
	at("delivered", c)
	tell("delivered", answers)
}

func deferred(c *wasmail.Consignment, answers []wasmail.TargetAnswer) *wasmail.Answer {
	tell("deferred", answers)
	switch verdict, rest := at("deferred", c); verdict {
	case "delay":
		return wait(rest)
	case "bounce":
		return wasmail.Bounce()
	}
	return wasmail.Next()
}

func bounce(c *wasmail.Consignment, answers []wasmail.TargetAnswer) *wasmail.Answer {
	tell("bounces", answers)
	if verdict, _ := at("bounce", c); verdict == "silence" {
		return wasmail.Silence()
	}
	return wasmail.Next()
}
