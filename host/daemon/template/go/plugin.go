// Refuses mail from listed senders. A start: change it into what you need.
package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"wasmail"
)

func init() {
	wasmail.Register(wasmail.Plugin{
		Manifest: wasmail.Manifest{
			Name:        "{{name}}",
			Version:     "0.1.0",
			Description: "Refuses mail from listed senders.",
		},
		Configure: configure,
		Mail:      mail,
	})
}

// It lives as long as the instance, which the server may drop at any moment: what must last belongs into notes.
var config struct {
	Senders []string `json:"senders"`
}

// configure takes what the operator writes below [plugin.config]. The error says what is wrong with it.
func configure(given []byte) error {
	if err := wasmail.Decode(given, &config); err != nil {
		return err
	}
	if config.Senders == nil {
		return errors.New("senders: expected a list of addresses")
	}
	for at, sender := range config.Senders {
		if !strings.Contains(sender, "@") {
			return fmt.Errorf("senders[%d]: this is no address", at)
		}
	}
	return nil
}

func mail(c *wasmail.Connection, t *wasmail.Transaction) *wasmail.Answer {
	listed := func(sender string) bool { return strings.EqualFold(sender, t.ReversePath) }
	if slices.ContainsFunc(config.Senders, listed) {
		return wasmail.Deny("We take no mail from you").Status(5, 7, 1)
	}
	return wasmail.Next()
}

func main() {}
