// Package wasmail is for plugins of the mail server wasmail in Go.
//
// A plugin is a program whose init registers its hooks:
//
//	func init() {
//		wasmail.Register(wasmail.Plugin{
//			Manifest: wasmail.Manifest{Name: "no-such-user", Description: "Refuses nobody@."},
//			Rcpt:     rcpt,
//		})
//	}
//
//	func rcpt(c *wasmail.Connection, t *wasmail.Transaction, r *wasmail.Recipient) *wasmail.Answer {
//		if strings.EqualFold(wasmail.LocalPart(r.Address), "nobody") {
//			return wasmail.Deny("no such user here").Status(5, 1, 1)
//		}
//		return wasmail.Next()
//	}
//
//	func main() {}
package wasmail

import (
	"fmt"
	"reflect"
	"slices"
)

// Plugin is a manifest and hooks. Those that wasmail-plugin.toml names must be there, and no others.
//
// A hook that returns nil says Next. A panic is a fault: the server answers with what the binding's fault rule says.
type Plugin struct {
	Manifest Manifest
	// Configure receives the configuration, as JSON, before any hook is called; Decode reads it. Its error refuses it.
	Configure func(config []byte) error

	ConnectInit         func(c *Connection) *Answer
	LookupRdns          func(c *Connection) *Answer
	Connect             func(c *Connection) *Answer
	Helo                func(c *Connection) *Answer
	Ehlo                func(c *Connection) *Answer
	Capabilities        func(c *Connection) *Answer
	Auth                func(c *Connection, a *AuthAttempt) *Answer
	UnrecognizedCommand func(c *Connection) *Answer
	Noop                func(c *Connection) *Answer
	Rset                func(c *Connection) *Answer
	Vrfy                func(c *Connection, argument string) *Answer
	Quit                func(c *Connection) *Answer
	Mail                func(c *Connection, t *Transaction) *Answer
	Rcpt                func(c *Connection, t *Transaction, r *Recipient) *Answer
	RcptOk              func(c *Connection, t *Transaction, r *Recipient) *Answer
	Data                func(c *Connection, t *Transaction) *Answer
	MaxDataExceeded     func(c *Connection, t *Transaction) *Answer
	Part                func(c *Connection, t *Transaction, p *MimePart) *Answer
	DataPost            func(c *Connection, t *Transaction) *Answer
	Queue               func(c *Connection, t *Transaction) *Answer
	QueueOutbound       func(c *Connection, t *Transaction) *Answer
	QueueOk             func(c *Connection, t *Transaction, queueID string) *Answer
	// Deny has no transaction where there is none.
	Deny             func(c *Connection, t *Transaction, d *Denial) *Answer
	ResetTransaction func(c *Connection, t *Transaction, how Fate) *Answer
	Disconnect       func(c *Connection)

	// The hooks of delivery. Nothing of the message can be changed there: an answer has no changes.
	PreSend   func(c *Consignment) *Answer
	Send      func(c *Consignment) *Answer
	GetMx     func(c *Consignment) *Answer
	Delivered func(c *Consignment, answers []TargetAnswer)
	Deferred  func(c *Consignment, answers []TargetAnswer) *Answer
	Bounce    func(c *Consignment, answers []TargetAnswer) *Answer
}

var plugin *Plugin

// Register says what the plugin is. It is called once, by init.
func Register(p Plugin) {
	if plugin != nil {
		panic("wasmail.Register is called twice")
	}
	value := reflect.ValueOf(p)
	for at := range value.NumField() {
		name, field := value.Type().Field(at).Name, value.Field(at)
		if field.Kind() != reflect.Func {
			continue
		}
		switch there, wanted := !field.IsNil(), slices.Contains(exported, name); {
		case there && !wanted:
			panic(fmt.Sprintf("%s is registered, but wasmail-plugin.toml does not name it in hooks", name))
		case wanted && !there:
			panic(fmt.Sprintf("wasmail-plugin.toml names %s in hooks, but it is not registered", name))
		}
	}
	plugin = &p
}

// registered is what the exports call.
func registered() *Plugin {
	if plugin == nil {
		panic("no plugin: call wasmail.Register in init")
	}
	return plugin
}
