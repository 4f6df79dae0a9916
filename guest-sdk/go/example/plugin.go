// The example that there is in every language; ../../example/README.md says what it does.
package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"wasmail"
	kv "wasmail/bindings/wasmail_policy_kv"
	"wasmail/message"
)

func main() {}

func init() {
	wasmail.Register(wasmail.Plugin{
		Manifest: wasmail.Manifest{
			Name:        "example",
			Version:     "0.1.0",
			Description: "The example that there is in every language.",
			ReadsNotes:  []string{"/example/seen", "/example/recipients"},
			Needs:       []string{"accept-recipients"},
		},
		Configure: configure,
		Connect:   connect,
		Mail:      mail,
		Rcpt:      rcpt,
		DataPost:  dataPost,
	})
}

// It lives as long as the instance.
var config struct {
	Domains  []string `json:"domains"`
	Blocked  []string `json:"blocked"`
	Greeting string   `json:"greeting"`
}

func configure(given []byte) error { return wasmail.Decode(given, &config) }

func listed(texts []string, text string) bool {
	return slices.ContainsFunc(texts, func(entry string) bool { return strings.EqualFold(entry, text) })
}

func connect(c *wasmail.Connection) *wasmail.Answer {
	return wasmail.Next().SetNote(wasmail.OfConnection, "/example/seen", 1)
}

// greeted greets a sender, and says how often it has come.
func greeted(sender string) *wasmail.Answer {
	if config.Greeting == "" {
		return wasmail.Next()
	}
	times, err := wasmail.Try(kv.Increment(sender, 1, wasmail.None[uint32]()))
	var failure wasmail.Failure
	switch {
	case err == nil:
		return wasmail.Accept(fmt.Sprintf("%s, %d", config.Greeting, times))
	case errors.As(err, &failure) && failure.Tag() == wasmail.FailureNotGranted:
		return wasmail.Accept(config.Greeting + ", stranger")
	default:
		return wasmail.Next()
	}
}

func mail(c *wasmail.Connection, t *wasmail.Transaction) *wasmail.Answer {
	answer := greeted(t.ReversePath)
	if listed(config.Blocked, t.ReversePath) {
		answer = wasmail.Deny(t.ReversePath+" is blocked here").Status(5, 7, 1)
	}
	return answer.Increment(wasmail.OfConnection, "senders", 1)
}

func rcpt(c *wasmail.Connection, t *wasmail.Transaction, r *wasmail.Recipient) *wasmail.Answer {
	if strings.EqualFold(wasmail.LocalPart(r.Address), "nobody") {
		return wasmail.Deny("no such user here", "ask postmaster").Status(5, 1, 1)
	}
	answer := wasmail.Next()
	if listed(config.Domains, wasmail.Domain(r.Address)) {
		answer = wasmail.Accept()
	}
	return answer.SetNote(wasmail.OfTransaction, "/example/recipients", len(t.Recipients)+1)
}

func dataPost(c *wasmail.Connection, t *wasmail.Transaction) *wasmail.Answer {
	subject, ok := message.Value("Subject")
	if !ok {
		return wasmail.DenySoft("come back with a subject").Code(451).Status(4, 7, 1)
	}
	recipients, _ := wasmail.Note[int](t.Notes, "/example/recipients")
	seen, _ := wasmail.Note[int](c.Notes, "/example/seen")
	told := fmt.Sprintf("recipients=%d; subject=%d; body=%d; seen=%d",
		recipients, utf8.RuneCountInString(subject), message.BodySize(), seen)
	return wasmail.Next().AddHeader("X-Example", told).Result(wasmail.OfTransaction, wasmail.Pass, "checked")
}
