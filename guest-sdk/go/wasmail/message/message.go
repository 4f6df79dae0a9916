// Package message is the message, at Part, DataPost, Queue, QueueOutbound and the hooks of delivery; to read it elsewhere is a
// fault.
package message

import (
	"errors"
	"io"
	"strings"

	host "wasmail/bindings/wasmail_policy_message"
	"wasmail/wit/types"
)

// The records of the contract, which wit/host.wit describes.
type (
	Field     = host.Field
	Address   = host.Address
	DateTime  = host.DateTime
	Media     = host.Media
	MimePart  = host.MimePart
	Structure = host.Structure
)

// The most octets that the host gives at once.
const piece = 65536

// BodySize is the octets of the body.
func BodySize() uint64 { return host.BodySize() }

// Fields has the header fields, first one on top.
func Fields() []Field { return host.Fields() }

// Values has the values of the fields of a name; case means nothing.
func Values(name string) []string { return host.Values(name) }

// Value is the first of them, if there is one.
func Value(name string) (value string, ok bool) {
	if values := host.Values(name); len(values) > 0 {
		return values[0], true
	}
	return "", false
}

// Positions says where the fields of a name stand, counted from 0 at the top.
func Positions(name string) []uint32 {
	var positions []uint32
	for at, field := range host.Fields() {
		if strings.EqualFold(field.Name, name) {
			positions = append(positions, uint32(at))
		}
	}
	return positions
}

// RawField has a field's octets, folding and final CRLF included; nil past the last one.
func RawField(position uint32) []byte { return host.RawField(position).SomeOr(nil) }

// DecodedField is a field's value with its encoded words decoded. It may hold any character.
func DecodedField(position uint32) string { return host.DecodedField(position).SomeOr("") }

// Decoded is the first field of a name with its encoded words decoded, if there is one.
func Decoded(name string) (value string, ok bool) {
	if positions := Positions(name); len(positions) > 0 {
		return DecodedField(positions[0]), true
	}
	return "", false
}

// Addresses has the addresses in the fields of a name, such as From or To.
func Addresses(name string) []Address {
	var addresses []Address
	for _, at := range Positions(name) {
		addresses = append(addresses, host.Addresses(at)...)
	}
	return addresses
}

// Date is the date in the first field of a name, if there is one.
func Date(name string) (date DateTime, ok bool) { return first(name, host.Date) }

// MessageIDs has the message-ids in the fields of a name, such as References, without angle brackets.
func MessageIDs(name string) []string {
	var ids []string
	for _, at := range Positions(name) {
		ids = append(ids, host.MessageIds(at)...)
	}
	return ids
}

// MediaType is the media type or disposition in the first field of a name, if there is one.
func MediaType(name string) (media Media, ok bool) { return first(name, host.MediaType) }

// Parts has the MIME parts, and the first limit that was passed.
func Parts() (Structure, error) { return try(host.ReadStructure()) }

// PartFields has the header fields of a part.
func PartFields(part uint32) ([]Field, error) { return try(host.PartFields(part)) }

// Part reads the decoded content of a part.
func Part(number uint32) io.Reader {
	return &reader{read: func(offset uint64, length uint32) wit_types.Result[[]byte, string] {
		return host.ReadPart(number, offset, length)
	}}
}

// Body reads the body.
func Body() io.Reader { return &reader{read: host.ReadBody} }

type reader struct {
	read   func(offset uint64, length uint32) wit_types.Result[[]byte, string]
	offset uint64
}

func (r *reader) Read(into []byte) (int, error) {
	if len(into) == 0 {
		return 0, nil
	}
	octets, err := try(r.read(r.offset, uint32(min(len(into), piece))))
	if err != nil {
		return 0, err
	}
	if len(octets) == 0 {
		return 0, io.EOF
	}
	r.offset += uint64(len(octets))
	return copy(into, octets), nil
}

func try[T any](result wit_types.Result[T, string]) (value T, err error) {
	if result.IsErr() {
		return value, errors.New(result.Err())
	}
	return result.Ok(), nil
}

func first[T any](name string, read func(position uint32) wit_types.Option[T]) (value T, ok bool) {
	positions := Positions(name)
	if len(positions) == 0 {
		return value, false
	}
	found := read(positions[0])
	return found.SomeOr(value), found.IsSome()
}
