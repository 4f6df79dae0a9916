package wasmail

import (
	"encoding/json"
	"strings"

	types "wasmail/bindings/wasmail_policy_types"
)

// Note is the value of a note that the manifest asks for, of the Notes of a connection, a transaction or a
// consignment. It is the zero value and false when there is none, or when it is no T.
func Note[T any](notes []NoteValue, pointer string) (value T, ok bool) {
	for _, note := range notes {
		if note.Pointer == pointer {
			ok = json.Unmarshal([]byte(note.Value), &value) == nil
			return value, ok
		}
	}
	return value, false
}

// ResultsOf is what a plugin recorded, if the manifest asks for it, else nil.
func ResultsOf(results []PluginResults, plugin string) *PluginResults {
	for at := range results {
		if results[at].Plugin == plugin {
			return &results[at]
		}
	}
	return nil
}

// Domain is what stands behind the last @; nothing when there is none.
func Domain(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return address[at+1:]
	}
	return ""
}

// LocalPart is what stands before the last @.
func LocalPart(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return address[:at]
	}
	return address
}

// Credentials are the user's name and the password; ok is false without the grant credentials, or when it is a token.
func Credentials(a *AuthAttempt) (user, password string, ok bool) {
	if a.Credentials.IsNone() || a.Credentials.Some().Tag() != types.CredentialsPassword {
		return "", "", false
	}
	shown := a.Credentials.Some().Password()
	return shown.User, shown.Password, true
}

// Token is the user's name and the token (RFC 7628); ok is false without the grant credentials, or when it is a password.
func Token(a *AuthAttempt) (user, token string, ok bool) {
	if a.Credentials.IsNone() || a.Credentials.Some().Tag() != types.CredentialsToken {
		return "", "", false
	}
	shown := a.Credentials.Some().Token()
	return shown.User, shown.Token, true
}
