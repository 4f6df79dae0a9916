package wasmail

import (
	"wasmail/bindings/wasmail_policy_message"
	"wasmail/bindings/wasmail_policy_types"
	"wasmail/wit/types"
)

// The records of the contract, which wit/types.wit describes.
type (
	Connection    = wasmail_policy_types.Connection
	Transaction   = wasmail_policy_types.Transaction
	Recipient     = wasmail_policy_types.Recipient
	Parameter     = wasmail_policy_types.Parameter
	NoteValue     = wasmail_policy_types.Note
	PluginResults = wasmail_policy_types.PluginResults
	AuthAttempt   = wasmail_policy_types.AuthAttempt
	Denial        = wasmail_policy_types.Denial
	Fate          = wasmail_policy_types.Fate
	MimePart      = wasmail_policy_message.MimePart
)

// How a transaction ended.
const (
	FateQueued    = wasmail_policy_types.FateQueued
	FateTaken     = wasmail_policy_types.FateTaken
	FateDeferred  = wasmail_policy_types.FateDeferred
	FateRejected  = wasmail_policy_types.FateRejected
	FateAbandoned = wasmail_policy_types.FateAbandoned
)

// The kind of a refusal, in a Denial.
const (
	RefusalDeny               = wasmail_policy_types.RefusalKindDeny
	RefusalDenySoft           = wasmail_policy_types.RefusalKindDenySoft
	RefusalDenyDisconnect     = wasmail_policy_types.RefusalKindDenyDisconnect
	RefusalDenySoftDisconnect = wasmail_policy_types.RefusalKindDenySoftDisconnect
)

// The greeting, in Connection.Hello.
const (
	HelloHelo = wasmail_policy_types.HelloVerbHelo
	HelloEhlo = wasmail_policy_types.HelloVerbEhlo
	HelloLhlo = wasmail_policy_types.HelloVerbLhlo
)

// The body's type, in Transaction.Body.
const (
	BodySevenBit     = wasmail_policy_types.BodyTypeSevenBit
	BodyEightBitMime = wasmail_policy_types.BodyTypeEightBitMime
	BodyBinaryMime   = wasmail_policy_types.BodyTypeBinaryMime
)

// Option is a value that may not be there: IsSome tells, Some gives it, SomeOr gives it or another.
type Option[T any] = wit_types.Option[T]

// Some is a value that is there.
func Some[T any](value T) Option[T] { return wit_types.Some(value) }

// None is a value that is not there.
func None[T any]() Option[T] { return wit_types.None[T]() }

// pointer is what an optional record is to an author.
func pointer[T any](option Option[T]) *T {
	if option.IsNone() {
		return nil
	}
	value := option.Some()
	return &value
}
