package wasmail

import (
	"bytes"
	"context"
	"log/slog"

	host "wasmail/bindings/wasmail_policy_log"
)

// What log and log/slog write goes to the operator's log, which adds time, plugin and connection.
func init() {
	slog.SetDefault(slog.New(&handler{}))
}

type handler struct {
	with []slog.Attr
	// group is the prefix of keys.
	group string
}

func (h *handler) Enabled(context.Context, slog.Level) bool { return true }

func (h *handler) Handle(_ context.Context, record slog.Record) error {
	var line bytes.Buffer
	line.WriteString(record.Message)
	write := func(attr slog.Attr) bool {
		line.WriteString(" " + h.group + attr.String())
		return true
	}
	for _, attr := range h.with {
		line.WriteString(" " + attr.String())
	}
	record.Attrs(write)
	host.Log(level(record.Level), line.String())
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := append([]slog.Attr{}, h.with...)
	for _, attr := range attrs {
		with = append(with, slog.Attr{Key: h.group + attr.Key, Value: attr.Value})
	}
	return &handler{with: with, group: h.group}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{with: h.with, group: h.group + name + "."}
}

func level(level slog.Level) host.Level {
	switch {
	case level >= slog.LevelError:
		return host.LevelError
	case level >= slog.LevelWarn:
		return host.LevelWarn
	case level >= slog.LevelInfo:
		return host.LevelInfo
	default:
		return host.LevelDebug
	}
}
