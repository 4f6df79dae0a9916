package wasmail

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	describe "wasmail/bindings/wasmail_policy_describe"
)

// Manifest is what a plugin says of itself; wit/hooks.wit says more of each.
type Manifest struct {
	// Name is such as local-domains.
	Name string
	// Version is a semantic version; 0.0.0 when empty.
	Version string
	// Description is one sentence.
	Description string
	// ReadsNotes has JSON Pointers of the notes that the hooks are to see.
	ReadsNotes []string
	// ReadsResults has the plugins whose results the hooks are to see; * stands for all.
	ReadsResults []string
	// Needs has the grants that the plugin needs to do its work.
	Needs []string
	// ConfigSchema is a JSON Schema of the configuration; empty for none. It can be embedded from a file.
	ConfigSchema string
	// Footprint says what the answers depend on and what they change; nil: the plugin is asked alone.
	Footprint *Footprint
}

// Footprint lets the host ask a plugin at the same time as others. Reads and Writes are made of the constants Facts….
type Footprint = describe.Footprint

// Facts that plugins can change, beside notes and results.
const (
	FactsRelaying    = describe.FactsRelaying
	FactsRemoteHost  = describe.FactsRemoteHost
	FactsReversePath = describe.FactsReversePath
	FactsRecipients  = describe.FactsRecipients
	FactsMessage     = describe.FactsMessage
	FactsDelivery    = describe.FactsDelivery
	FactsSkips       = describe.FactsSkips
)

func described() describe.Manifest {
	m := registered().Manifest
	if m.Version == "" {
		m.Version = "0.0.0"
	}
	made := describe.Manifest{
		Name:         m.Name,
		Version:      m.Version,
		Description:  m.Description,
		ReadsNotes:   m.ReadsNotes,
		ReadsResults: m.ReadsResults,
		Needs:        m.Needs,
		ConfigSchema: None[string](),
		Footprint:    None[Footprint](),
	}
	if m.ConfigSchema != "" {
		made.ConfigSchema = Some(m.ConfigSchema)
	}
	if m.Footprint != nil {
		made.Footprint = Some(*m.Footprint)
	}
	return made
}

// Decode reads a configuration into a struct. A key that the struct does not have is an error.
func Decode(config []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the configuration")
	}
	return nil
}
