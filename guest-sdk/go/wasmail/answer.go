package wasmail

import (
	"encoding/json"
	"fmt"
	"strings"

	types "wasmail/bindings/wasmail_policy_types"
)

// Answer is what a hook answers: a verdict, and changes in order. Begin one with Next, Accept, Deny and the like; every
// method returns the answer itself.
type Answer struct {
	verdict   string
	reply     *types.Reply
	mutations []types.Mutation
	// What verdicts of the hooks of delivery carry.
	seconds   Option[uint32]
	answers   []TargetAnswer
	exchanges []Exchange
}

// Scope says whose a note or a result is.
type Scope uint8

// The scopes.
const (
	OfConnection  = Scope(types.ScopeConnection)
	OfTransaction = Scope(types.ScopeTransaction)
)

// List is one of the lists of a plugin's own results.
type List uint8

// The lists.
const (
	Pass = List(types.ResultListPass)
	Fail = List(types.ResultListFail)
	Msg  = List(types.ResultListMsg)
	Skip = List(types.ResultListSkip)
	Err  = List(types.ResultListErr)
)

func answer(verdict string, text []string) *Answer {
	a := &Answer{verdict: verdict, seconds: None[uint32]()}
	if len(text) > 0 {
		a.said().Lines = strings.Split(strings.Join(text, "\n"), "\n")
	}
	return a
}

// Next has no opinion: the next plugin is asked; at the hooks of delivery, the host does as usual when there is none. A hook that
// returns nil says the same.
func Next() *Answer { return answer("next", nil) }

// Accept is good, and no further plugin is asked. Here and below, several texts are several lines of the reply, and so
// are parts of one text with \n between them; none is the host's text.
func Accept(text ...string) *Answer { return answer("accept", text) }

// Deny refuses for good.
func Deny(text ...string) *Answer { return answer("deny", text) }

// DenySoft refuses for now.
func DenySoft(text ...string) *Answer { return answer("deny-soft", text) }

// DenyDisconnect refuses for good, and the connection is closed.
func DenyDisconnect(text ...string) *Answer { return answer("deny-disconnect", text) }

// DenySoftDisconnect refuses for now, and the connection is closed.
func DenySoftDisconnect(text ...string) *Answer { return answer("deny-soft-disconnect", text) }

// Disconnect closes the connection without a word.
func Disconnect() *Answer { return answer("disconnect", nil) }

// ReadAs is for UnrecognizedCommand alone: the host carries this line out instead.
func ReadAs(line string) *Answer { return answer("read-as", []string{line}) }

// Overturn is for the hook Deny alone: the refusal is overturned.
func Overturn(text ...string) *Answer { return answer("overturn", text) }

func (a *Answer) said() *types.Reply {
	if a.reply == nil {
		a.reply = &types.Reply{Code: None[uint16](), Enhanced: None[types.EnhancedStatus]()}
	}
	return a.reply
}

// Code sets the reply's code, which must fit the verdict.
func (a *Answer) Code(code uint16) *Answer {
	a.said().Code = Some(code)
	return a
}

// Status sets the enhanced status code (RFC 3463): Status(5, 7, 1) is 5.7.1.
func (a *Answer) Status(class uint8, subject, detail uint16) *Answer {
	a.said().Enhanced = Some(types.EnhancedStatus{Class: class, Subject: subject, Detail: detail})
	return a
}

// Change adds a mutation of wasmail/bindings/wasmail_policy_types, for those without a method.
func (a *Answer) Change(mutation types.Mutation) *Answer {
	a.mutations = append(a.mutations, mutation)
	return a
}

// SetNote sets a note to anything that JSON can say.
func (a *Answer) SetNote(scope Scope, pointer string, value any) *Answer {
	change := types.NoteChange{Scope: uint8(scope), Pointer: pointer, Value: text(value)}
	return a.Change(types.MakeMutationSetNote(change))
}

// RemoveNote removes a note; nothing happens when there is none.
func (a *Answer) RemoveNote(scope Scope, pointer string) *Answer {
	return a.Change(types.MakeMutationRemoveNote(types.NoteRemoval{Scope: uint8(scope), Pointer: pointer}))
}

// Result appends to one of the lists of the plugin's own results.
func (a *Answer) Result(scope Scope, list List, text string) *Answer {
	entry := types.ResultEntry{Scope: uint8(scope), List: uint8(list), Text: text}
	return a.Change(types.MakeMutationAddResult(entry))
}

// Increment adds to a number in the plugin's own results.
func (a *Answer) Increment(scope Scope, key string, by float64) *Answer {
	return a.Change(types.MakeMutationIncrResult(types.ResultIncrement{Scope: uint8(scope), Key: key, By: by}))
}

// PushResult appends to a list under a key of the plugin's own results.
func (a *Answer) PushResult(scope Scope, key string, value any) *Answer {
	return a.Change(types.MakeMutationPushResult(types.ResultValue{Scope: uint8(scope), Key: key, Value: text(value)}))
}

// SetResult sets a key of the plugin's own results.
func (a *Answer) SetResult(scope Scope, key string, value any) *Answer {
	return a.Change(types.MakeMutationSetResult(types.ResultValue{Scope: uint8(scope), Key: key, Value: text(value)}))
}

// AddHeader adds a header field below the others.
func (a *Answer) AddHeader(name, value string) *Answer {
	return a.Change(types.MakeMutationAddHeader(types.HeaderField{Name: name, Value: value}))
}

// PrependHeader adds a header field on top.
func (a *Answer) PrependHeader(name, value string) *Answer {
	return a.Change(types.MakeMutationPrependHeader(types.HeaderField{Name: name, Value: value}))
}

// ReplaceHeader replaces the header field at a position.
func (a *Answer) ReplaceHeader(position uint32, name, value string) *Answer {
	replacement := types.HeaderReplacement{Position: position, Name: name, Value: value}
	return a.Change(types.MakeMutationReplaceHeader(replacement))
}

// RemoveHeader removes the header field at a position.
func (a *Answer) RemoveHeader(position uint32) *Answer {
	return a.Change(types.MakeMutationRemoveHeader(position))
}

// AddRecipient adds a recipient.
func (a *Answer) AddRecipient(address string, parameters ...Parameter) *Answer {
	return a.Change(types.MakeMutationAddRecipient(Recipient{Address: address, Parameters: parameters}))
}

// RemoveRecipient removes the recipient at a position.
func (a *Answer) RemoveRecipient(position uint32) *Answer {
	return a.Change(types.MakeMutationRemoveRecipient(position))
}

// RewriteRecipient gives a recipient another address, and other parameters if some are given.
func (a *Answer) RewriteRecipient(position uint32, address string, parameters ...Parameter) *Answer {
	rewrite := types.RecipientRewrite{Position: position, Address: address, Parameters: None[[]Parameter]()}
	if parameters != nil {
		rewrite.Parameters = Some(parameters)
	}
	return a.Change(types.MakeMutationRewriteRecipient(rewrite))
}

// SetReversePath changes where failure notices go; the empty text is the null path.
func (a *Answer) SetReversePath(address string) *Answer {
	return a.Change(types.MakeMutationSetReversePath(address))
}

// AddBanner puts a text below what the author wrote: plain, as HTML, or both; an empty one is none.
func (a *Answer) AddBanner(text, html string) *Answer {
	return a.Change(types.MakeMutationAddBanner(types.Banner{Text: nonEmpty(text), Html: nonEmpty(html)}))
}

// ReplacePart puts something else in a part's place; a name makes it an attachment.
func (a *Answer) ReplacePart(part uint32, mediaType string, content []byte, name string) *Answer {
	replacement := types.PartReplacement{Part: part, MediaType: mediaType, Name: nonEmpty(name), Content: content}
	return a.Change(types.MakeMutationReplacePart(replacement))
}

// RemovePart removes a part.
func (a *Answer) RemovePart(part uint32) *Answer { return a.Change(types.MakeMutationRemovePart(part)) }

// SetRoute sends the message by one of the operator's routes; the empty name is the usual way.
func (a *Answer) SetRoute(name string) *Answer {
	return a.Change(types.MakeMutationSetRoute(nonEmpty(name)))
}

// Quarantine has the message held until the operator releases or removes it.
func (a *Answer) Quarantine(reason string) *Answer {
	return a.Change(types.MakeMutationQuarantine(reason))
}

// SetRelaying lets the client send to anywhere, or not.
func (a *Answer) SetRelaying(relaying bool) *Answer {
	return a.Change(types.MakeMutationSetRelaying(relaying))
}

// SetRemoteHost sets the client's name; the empty one clears it.
func (a *Answer) SetRemoteHost(host string) *Answer {
	return a.Change(types.MakeMutationSetRemoteHost(nonEmpty(host)))
}

// Delay lets the client wait, 30 000 milliseconds at most.
func (a *Answer) Delay(milliseconds uint32) *Answer {
	return a.Change(types.MakeMutationDelay(milliseconds))
}

// SkipPlugin skips a plugin for the rest of the transaction.
func (a *Answer) SkipPlugin(name string) *Answer { return a.Change(types.MakeMutationSkipPlugin(name)) }

// AddCapability adds a line to the answer to EHLO.
func (a *Answer) AddCapability(line string) *Answer {
	return a.Change(types.MakeMutationAddCapability(line))
}

func nonEmpty(text string) Option[string] {
	if text == "" {
		return None[string]()
	}
	return Some(text)
}

// text is a value as JSON.
func text(value any) string {
	json, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("%v cannot be a note or a result: %v", value, err))
	}
	return string(json)
}

// orNext is the answer of a hook, which may be nil.
func orNext(a *Answer) *Answer {
	if a == nil {
		return Next()
	}
	return a
}

// What a verdict carries.

func (a *Answer) replied() Option[types.Reply] {
	if a.reply == nil {
		return None[types.Reply]()
	}
	return Some(*a.reply)
}

func (a *Answer) optionalText() Option[string] {
	if a.reply == nil || len(a.reply.Lines) == 0 {
		return None[string]()
	}
	return Some(a.reply.Lines[0])
}

func (a *Answer) text() string { return a.optionalText().SomeOr("") }

// unknown is a verdict that the hook does not have.
func (a *Answer) unknown(hook string) string { return fmt.Sprintf("%s knows no %s", hook, a.verdict) }

// changes are the answer of hooks that decide nothing.
func changes(hook string, a *Answer) types.Changes {
	a = orNext(a)
	if a.verdict != "next" {
		panic(fmt.Sprintf("%s: it answers with Next() alone", a.unknown(hook)))
	}
	return types.Changes{Mutations: a.mutations}
}
