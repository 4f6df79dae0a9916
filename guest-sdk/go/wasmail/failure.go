package wasmail

import (
	"wasmail/bindings/wasmail_policy_capability"
	"wasmail/wit/types"
)

// Failure is what goes wrong with a capability, as an error. Its Tag is one of the constants Failure….
type Failure struct {
	wasmail_policy_capability.Failure
}

// The kinds of failures.
const (
	FailureNotGranted    = wasmail_policy_capability.FailureNotGranted
	FailureQuotaExceeded = wasmail_policy_capability.FailureQuotaExceeded
	FailureTimedOut      = wasmail_policy_capability.FailureTimedOut
	FailureUnavailable   = wasmail_policy_capability.FailureUnavailable
	FailureInvalid       = wasmail_policy_capability.FailureInvalid
)

func (f Failure) Error() string {
	switch f.Tag() {
	case FailureNotGranted:
		return "not granted"
	case FailureQuotaExceeded:
		return "quota exceeded: " + f.Failure.QuotaExceeded()
	case FailureTimedOut:
		return "timed out"
	case FailureUnavailable:
		return "unavailable: " + f.Failure.Unavailable()
	default:
		return "invalid: " + f.Failure.Invalid()
	}
}

// Try makes a value and an error of what a capability answers: value, err := wasmail.Try(wasmail_policy_kv.Get("key")).
func Try[T any](result wit_types.Result[T, wasmail_policy_capability.Failure]) (value T, err error) {
	if result.IsErr() {
		return value, Failure{result.Err()}
	}
	return result.Ok(), nil
}
