package wasmail

import (
	"fmt"
	"strings"

	"wasmail/bindings/wasmail_policy_delivery"
	types "wasmail/bindings/wasmail_policy_types"
)

// The records of delivery, which wit/outbound.wit describes.
type (
	Consignment  = wasmail_policy_delivery.Consignment
	Target       = wasmail_policy_delivery.Target
	TargetAnswer = wasmail_policy_delivery.Answer
	Exchange     = wasmail_policy_delivery.Exchange
)

// Delay is for PreSend, GetMx and Deferred: tried again after so many seconds.
func Delay(seconds uint32) *Answer {
	a := DelayAsScheduled()
	a.seconds = Some(seconds)
	return a
}

// DelayAsScheduled is for PreSend and GetMx: not now, but when the schedule says.
func DelayAsScheduled() *Answer { return answer("delay", nil) }

// Bounce is for PreSend, with a text and a Status, and for Deferred, without: the recipients never get the message.
func Bounce(text ...string) *Answer { return answer("bounce", text) }

// Route is for PreSend: the message goes by this route of the operator's, this time.
func Route(name string) *Answer { return answer("route", []string{name}) }

// Done is for Send: the plugin has delivered, or tried to. AnswerFor makes an answer for each target.
func Done(answers ...TargetAnswer) *Answer {
	a := answer("done", nil)
	a.answers = answers
	return a
}

// Exchanges is for GetMx: these servers, in place of what the DNS says. None: the domain takes no mail.
func Exchanges(exchanges ...Exchange) *Answer {
	a := answer("exchanges", nil)
	a.exchanges = exchanges
	return a
}

// Hosts is Exchanges of host names or addresses, the best first.
func Hosts(hosts ...string) *Answer {
	var exchanges []Exchange
	for at, host := range hosts {
		exchanges = append(exchanges, ExchangeAt(uint16(at), host, 0))
	}
	return Exchanges(exchanges...)
}

// ExchangeAt is a server by its name or address; lower preferences are tried first. Port 0 is the usual one.
func ExchangeAt(preference uint16, host string, port uint16) Exchange {
	exchange := Exchange{Preference: preference, Host: host, Port: None[uint16]()}
	if port != 0 {
		exchange.Port = Some(port)
	}
	return exchange
}

// Silence is for Bounce: the sender is not told.
func Silence() *Answer { return answer("silence", nil) }

// AnswerFor is what became of a target, by its index: 2yz, it has the message; 4yz, to be tried again; 5yz, it never will. The text
// has a line for each \n, and may be empty.
func AnswerFor(target int, code uint16, text string) TargetAnswer {
	made := TargetAnswer{
		Target:   uint32(target),
		Code:     Some(code),
		Enhanced: None[types.EnhancedStatus](),
		Host:     None[string](),
	}
	if text != "" {
		made.Lines = strings.Split(text, "\n")
	}
	return made
}

// WithStatus is the answer with an enhanced status code, whose class must fit the code: WithStatus(a, 5, 7, 1) is 5.7.1.
func WithStatus(a TargetAnswer, class uint8, subject, detail uint16) TargetAnswer {
	a.Enhanced = Some(types.EnhancedStatus{Class: class, Subject: subject, Detail: detail})
	return a
}

// AnswerText is all that was said of a target, in one line, with the codes in front.
func AnswerText(a *TargetAnswer) string {
	var parts []string
	if a.Code.IsSome() {
		parts = append(parts, fmt.Sprint(a.Code.Some()))
	}
	if a.Enhanced.IsSome() {
		parts = append(parts, statusText(a.Enhanced.Some()))
	}
	return strings.Join(append(parts, a.Lines...), " ")
}

func statusText(status types.EnhancedStatus) string {
	return fmt.Sprintf("%d.%d.%d", status.Class, status.Subject, status.Detail)
}

// judged is the answer of a hook of delivery, which may be nil, when it is one of the verdicts there with what that carries.
func judged(hook string, a *Answer, verdicts map[string]string) *Answer {
	a = orNext(a)
	carries, known := verdicts[a.verdict]
	wrong := ""
	switch text := a.reason(); {
	case !known:
		panic(a.unknown(hook))
	case len(a.mutations) > 0:
		wrong = "cannot come with changes: nothing of the message can be changed"
	case a.reply != nil && a.reply.Code.IsSome():
		wrong = "has no code"
	case carries == "nothing" && (text.IsSome() || a.seconds.IsSome()):
		wrong = "carries nothing here"
	case carries != "optional text" && a.reply != nil && a.reply.Enhanced.IsSome():
		wrong = "has no status"
	case carries == "seconds" && a.seconds.IsNone():
		wrong = "needs to know how many seconds"
	}
	if wrong != "" {
		panic(fmt.Sprintf("%s: %s %s", hook, a.verdict, wrong))
	}
	return a
}

// reason is the text of a verdict, in one line with its status in front.
func (a *Answer) reason() Option[string] {
	if a.reply == nil {
		return None[string]()
	}
	parts := a.reply.Lines
	if a.reply.Enhanced.IsSome() {
		parts = append([]string{statusText(a.reply.Enhanced.Some())}, parts...)
	}
	return Some(strings.Join(parts, " "))
}
