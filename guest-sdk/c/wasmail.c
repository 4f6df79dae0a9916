/* What wasmail.h promises. Everything that a hook returns is malloc'd, for the bindings free it when the host has read it. */
#include "wasmail_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Memory ---- */

/* What was made during this call, freed at its end. */
static struct scrap {
    struct scrap *next;
    char octets[];
} *scraps;

void *wm_must(void *memory) {
    if (!memory) __builtin_trap();
    return memory;
}

char *wm_scratch(size_t size) {
    struct scrap *scrap = wm_must(malloc(sizeof *scrap + size));
    scrap->next = scraps;
    scraps = scrap;
    return scrap->octets;
}

void wm_forget_scraps(void) {
    while (scraps) {
        struct scrap *next = scraps->next;
        free(scraps);
        scraps = next;
    }
}

/* The bindings free no empty text. */
wm_str wm_given(const char *text, size_t len) {
    static uint8_t empty;
    wm_str copy = {len ? wm_must(malloc(len)) : &empty, len};
    memcpy(copy.ptr, text, len);
    return copy;
}

static wm_str dup(const char *text) { return wm_given(text, strlen(text)); }

/* ---- Texts ---- */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

wm_str wm_c(const char *text) { return (wm_str){(uint8_t *)text, strlen(text)}; }

bool wm_equal(wm_str text, const char *other) {
    return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

bool wm_equal_nocase(wm_str text, const char *other) {
    if (text.len != strlen(other)) return false;
    for (size_t i = 0; i < text.len; i++)
        if (lower((char)text.ptr[i]) != lower(other[i])) return false;
    return true;
}

bool wm_starts_with(wm_str text, const char *with) {
    size_t len = strlen(with);
    return text.len >= len && memcmp(text.ptr, with, len) == 0;
}

bool wm_ends_with(wm_str text, const char *with) {
    size_t len = strlen(with);
    return text.len >= len && memcmp(text.ptr + text.len - len, with, len) == 0;
}

static size_t last_at(wm_str address) {
    size_t i = address.len;
    while (i > 0 && address.ptr[i - 1] != '@') i--;
    return i;
}

wm_str wm_local_part(wm_str address) {
    size_t at = last_at(address);
    return (wm_str){address.ptr, at ? at - 1 : address.len};
}

wm_str wm_domain(wm_str address) {
    size_t at = last_at(address);
    if (!at) return (wm_str){address.ptr + address.len, 0};
    return (wm_str){address.ptr + at, address.len - at};
}

const char *wm_text(wm_str text) {
    char *copy = wm_scratch(text.len + 1);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    return copy;
}

static const char *format(const char *how, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, how, again);
    va_end(again);
    char *text = wm_scratch(len < 0 ? 1 : (size_t)len + 1);
    text[0] = 0;
    if (len > 0) vsnprintf(text, (size_t)len + 1, how, arguments);
    return text;
}

const char *wm_format(const char *how, ...) {
    va_list arguments;
    va_start(arguments, how);
    const char *text = format(how, arguments);
    va_end(arguments);
    return text;
}

size_t wm_characters(wm_str text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) count += (text.ptr[i] & 0xC0) != 0x80;
    return count;
}

/* ---- JSON: the host gives well-formed texts, so this reads and does not judge; it never reads past the end ---- */

static const wm_str NOTHING = {NULL, 0};

static size_t blanks(wm_str json, size_t at) {
    while (at < json.len && strchr(" \t\r\n", json.ptr[at])) at++;
    return at;
}

/* Where the value that begins at `at` ends. */
static size_t value_end(wm_str json, size_t at) {
    size_t depth = 0;
    for (bool text = false; at < json.len; at++) {
        char c = (char)json.ptr[at];
        if (text) {
            if (c == '\\') at++;
            else if (c == '"') text = false;
            if (!text && !depth) return at + 1;
        } else if (c == '"') {
            text = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (!depth) return at;
            if (!--depth) return at + 1;
        } else if (!depth && strchr(",: \t\r\n", c)) {
            return at;
        }
    }
    return json.len;
}

static wm_str next_value(wm_str json, size_t *at) {
    size_t from = blanks(json, *at), to = value_end(json, from);
    *at = blanks(json, to);
    return (wm_str){json.ptr + from, to - from};
}

bool wm_json_each(wm_str json, size_t *at, wm_str *key, wm_str *value) {
    size_t begin = blanks(json, 0);
    if (!*at) {
        if (begin >= json.len || !strchr("[{", json.ptr[begin])) return false;
        *at = blanks(json, begin + 1);
    } else if (*at < json.len && json.ptr[*at] == ',') {
        *at = blanks(json, *at + 1);
    }
    if (*at >= json.len || strchr("]}", json.ptr[*at])) return false;
    *key = NOTHING;
    if (json.ptr[begin] == '{') {
        *key = next_value(json, at);
        *at += *at < json.len;
    }
    *value = next_value(json, at);
    return true;
}

static bool first_is(wm_str json, char c) { return json.ptr && json.len && (char)json.ptr[blanks(json, 0)] == c; }

bool wm_json_is_text(wm_str json) { return first_is(json, '"'); }
bool wm_json_is_array(wm_str json) { return first_is(json, '['); }

static unsigned hex(const uint8_t *digits) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        char c = lower((char)digits[i]);
        value = value * 16 + (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');
    }
    return value;
}

static char *put_utf8(char *to, unsigned c) {
    if (c < 0x80) return *to++ = (char)c, to;
    if (c < 0x800) return *to++ = (char)(0xC0 | c >> 6), *to++ = (char)(0x80 | (c & 0x3F)), to;
    if (c < 0x10000) *to++ = (char)(0xE0 | c >> 12);
    else *to++ = (char)(0xF0 | c >> 18), *to++ = (char)(0x80 | (c >> 12 & 0x3F));
    return *to++ = (char)(0x80 | (c >> 6 & 0x3F)), *to++ = (char)(0x80 | (c & 0x3F)), to;
}

const char *wm_json_text(wm_str json) {
    if (!wm_json_is_text(json)) return NULL;
    char *text = wm_scratch(json.len + 1), *to = text;
    for (size_t i = blanks(json, 0) + 1; i < json.len && json.ptr[i] != '"'; i++) {
        char c = (char)json.ptr[i];
        if (c != '\\' || i + 1 >= json.len) {
            *to++ = c;
            continue;
        }
        const char *names = "nrtbf", *values = "\n\r\t\b\f", *found;
        c = (char)json.ptr[++i];
        if (c == 'u' && i + 4 < json.len) {
            unsigned code = hex(json.ptr + i + 1);
            i += 4;
            if (code >= 0xD800 && code < 0xDC00 && i + 6 < json.len && json.ptr[i + 1] == '\\') {
                code = 0x10000 + ((code - 0xD800) << 10) + (hex(json.ptr + i + 3) - 0xDC00);
                i += 6;
            }
            to = put_utf8(to, code);
        } else if ((found = strchr(names, c)) && c) {
            *to++ = values[found - names];
        } else {
            *to++ = c;
        }
    }
    *to = 0;
    return text;
}

long long wm_json_int(wm_str json, long long otherwise) {
    if (!json.ptr || !json.len) return otherwise;
    const char *text = wm_text(json);
    char *end;
    long long value = strtoll(text, &end, 10);
    return end == text || strchr(".eE", *end) != (*end ? NULL : strchr(".eE", 0)) ? otherwise : value;
}

static bool is_key(wm_str key, const char *token, size_t len) {
    const char *text = wm_json_text(key);
    size_t at = 0;
    for (size_t i = 0; i < len; i++, at++) {
        char c = token[i];
        /* RFC 6901 section 4. */
        if (c == '~' && i + 1 < len) c = token[++i] == '1' ? '/' : '~';
        if (!text || text[at] != c) return false;
    }
    return text && !text[at];
}

wm_str wm_json_at(wm_str json, const char *pointer) {
    while (*pointer == '/') {
        size_t len = strcspn(++pointer, "/"), at = 0, index = 0;
        wm_str key, value, found = NOTHING;
        while (!found.ptr && wm_json_each(json, &at, &key, &value)) {
            bool here = key.ptr ? is_key(key, pointer, len) : (size_t)atoi(pointer) == index;
            if (here) found = value;
            index++;
        }
        json = found;
        pointer += len;
        if (!json.ptr) break;
    }
    return json;
}

static const char *quoted(const char *text) {
    char *json = wm_scratch(strlen(text) * 6 + 3), *to = json;
    *to++ = '"';
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20) to += sprintf(to, "\\u%04x", c);
        else if (c == '"' || c == '\\') *to++ = '\\', *to++ = (char)c;
        else *to++ = (char)c;
    }
    *to++ = '"';
    *to = 0;
    return json;
}

/* ---- Reading ---- */

wm_str wm_note_among(const wasmail_policy_types_note_t *notes, size_t count, const char *pointer) {
    for (size_t i = 0; i < count; i++)
        if (wm_equal(notes[i].pointer, pointer)) return notes[i].value;
    return NOTHING;
}

const wm_plugin_results *wm_results_of(const wm_results *results, const char *plugin) {
    for (size_t i = 0; i < results->len; i++)
        if (wm_equal(results->ptr[i].plugin, plugin)) return &results->ptr[i];
    return NULL;
}

static bool has_shown(const wm_auth_attempt *attempt, uint8_t tag) {
    return attempt->credentials.is_some && attempt->credentials.val.tag == tag;
}

wm_str wm_user(const wm_auth_attempt *attempt) {
    if (has_shown(attempt, WASMAIL_POLICY_TYPES_CREDENTIALS_PASSWORD)) return attempt->credentials.val.val.password.user;
    if (has_shown(attempt, WASMAIL_POLICY_TYPES_CREDENTIALS_TOKEN)) return attempt->credentials.val.val.token.user;
    return NOTHING;
}

wm_str wm_password(const wm_auth_attempt *attempt) {
    bool password = has_shown(attempt, WASMAIL_POLICY_TYPES_CREDENTIALS_PASSWORD);
    return password ? attempt->credentials.val.val.password.password : NOTHING;
}

wm_str wm_token(const wm_auth_attempt *attempt) {
    bool token = has_shown(attempt, WASMAIL_POLICY_TYPES_CREDENTIALS_TOKEN);
    return token ? attempt->credentials.val.val.token.token : NOTHING;
}

static plugin_list_string_t values(const char *name) {
    plugin_list_string_t list;
    wm_str asked = wm_c(name);
    wasmail_policy_message_values(&asked, &list);
    return list;
}

const char *wm_field(const char *name) {
    plugin_list_string_t list = values(name);
    const char *first = list.len ? wm_text(list.ptr[0]) : NULL;
    plugin_list_string_free(&list);
    return first;
}

const char *wm_decoded_field(const char *name) {
    /* Mostly there is none, and to ask that is cheaper than to take the whole header. */
    if (!wm_count_fields(name)) return NULL;
    wasmail_policy_message_list_field_t fields;
    wasmail_policy_message_fields(&fields);
    size_t at = 0;
    while (at < fields.len && !wm_equal_nocase(fields.ptr[at].name, name)) at++;
    wasmail_policy_message_list_field_free(&fields);
    wm_str value;
    if (!wasmail_policy_message_decoded_field((uint32_t)at, &value)) return NULL;
    const char *text = wm_text(value);
    plugin_string_free(&value);
    return text;
}

size_t wm_count_fields(const char *name) {
    plugin_list_string_t list = values(name);
    size_t count = list.len;
    plugin_list_string_free(&list);
    return count;
}

uint64_t wm_body_size(void) { return wasmail_policy_message_body_size(); }

/* What was read, or -1. */
static long taken(bool good, plugin_list_u8_t *octets, wm_str *error, void *into) {
    if (!good) {
        plugin_string_free(error);
        return -1;
    }
    memcpy(into, octets->ptr, octets->len);
    long count = (long)octets->len;
    plugin_list_u8_free(octets);
    return count;
}

static uint32_t at_once(size_t len) { return len > 65536 ? 65536 : (uint32_t)len; }

long wm_read_body(uint64_t offset, void *into, size_t len) {
    plugin_list_u8_t octets;
    wm_str error;
    return taken(wasmail_policy_message_read_body(offset, at_once(len), &octets, &error), &octets, &error, into);
}

long wm_read_part(uint32_t part, uint64_t offset, void *into, size_t len) {
    plugin_list_u8_t octets;
    wm_str error;
    return taken(wasmail_policy_message_read_part(part, offset, at_once(len), &octets, &error), &octets, &error, into);
}

static void log_line(wasmail_policy_log_level_t level, const char *how, va_list arguments) {
    wm_str line = wm_c(format(how, arguments));
    wasmail_policy_log_log(level, &line);
}

#define LOGS(name, level)                                                                                               \
    void name(const char *how, ...) {                                                                                   \
        va_list arguments;                                                                                              \
        va_start(arguments, how);                                                                                       \
        log_line(level, how, arguments);                                                                                \
        va_end(arguments);                                                                                              \
    }
LOGS(wm_debug, WASMAIL_POLICY_LOG_LEVEL_DEBUG)
LOGS(wm_info, WASMAIL_POLICY_LOG_LEVEL_INFO)
LOGS(wm_warn, WASMAIL_POLICY_LOG_LEVEL_WARN)
LOGS(wm_error, WASMAIL_POLICY_LOG_LEVEL_ERROR)

void wm_fail(const char *how, ...) {
    va_list arguments;
    va_start(arguments, how);
    log_line(WASMAIL_POLICY_LOG_LEVEL_ERROR, how, arguments);
    __builtin_trap();
}

/* ---- Answering ---- */

wm_outcome wm_verdict_with(wm_verdict verdict, const char *text) {
    wm_outcome outcome = {.verdict = verdict};
    if (!text) return outcome;
    plugin_list_string_t *lines = &outcome.reply.val.lines;
    outcome.reply.is_some = true;
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, "\n");
        lines->ptr = wm_must(realloc(lines->ptr, (lines->len + 1) * sizeof *lines->ptr));
        lines->ptr[lines->len++] = wm_given(at, len);
        at += len;
        if (!*at) return outcome;
    }
}

wm_outcome wm_next(void) { return wm_verdict_with(WM_NEXT, NULL); }
wm_outcome wm_accept(void) { return wm_verdict_with(WM_ACCEPT, NULL); }
wm_outcome wm_disconnect(void) { return wm_verdict_with(WM_DISCONNECT, NULL); }
wm_outcome wm_accept_with(const char *text) { return wm_verdict_with(WM_ACCEPT, text); }
wm_outcome wm_deny(const char *text) { return wm_verdict_with(WM_DENY, text); }
wm_outcome wm_deny_soft(const char *text) { return wm_verdict_with(WM_DENY_SOFT, text); }
wm_outcome wm_deny_disconnect(const char *text) { return wm_verdict_with(WM_DENY_DISCONNECT, text); }
wm_outcome wm_deny_soft_disconnect(const char *text) { return wm_verdict_with(WM_DENY_SOFT_DISCONNECT, text); }
wm_outcome wm_read_as(const char *line) { return wm_verdict_with(WM_READ_AS, line); }
wm_outcome wm_overturn(const char *text) { return wm_verdict_with(WM_ACCEPT, text); }

void wm_code(wm_outcome *outcome, uint16_t code) {
    outcome->reply.is_some = true;
    outcome->reply.val.code = (plugin_option_u16_t){true, code};
}

void wm_status(wm_outcome *outcome, uint8_t class, uint16_t subject, uint16_t detail) {
    outcome->reply.is_some = true;
    outcome->reply.val.enhanced.is_some = true;
    outcome->reply.val.enhanced.val = (wasmail_policy_types_enhanced_status_t){class, subject, detail};
}

static wasmail_policy_types_mutation_t *change(wm_outcome *outcome, uint8_t tag) {
    wasmail_policy_types_list_mutation_t *all = &outcome->mutations;
    all->ptr = wm_must(realloc(all->ptr, (all->len + 1) * sizeof *all->ptr));
    wasmail_policy_types_mutation_t *mutation = &all->ptr[all->len++];
    memset(mutation, 0, sizeof *mutation);
    mutation->tag = tag;
    return mutation;
}

#define CHANGE(NAME) change(outcome, WASMAIL_POLICY_TYPES_MUTATION_##NAME)->val

void wm_set_note(wm_outcome *outcome, wm_scope scope, const char *pointer, const char *json) {
    CHANGE(SET_NOTE).set_note = (wasmail_policy_types_note_change_t){(uint8_t)scope, dup(pointer), dup(json)};
}

void wm_set_note_text(wm_outcome *outcome, wm_scope scope, const char *pointer, const char *text) {
    wm_set_note(outcome, scope, pointer, quoted(text));
}

void wm_set_note_int(wm_outcome *outcome, wm_scope scope, const char *pointer, long long number) {
    wm_set_note(outcome, scope, pointer, wm_format("%lld", number));
}

void wm_remove_note(wm_outcome *outcome, wm_scope scope, const char *pointer) {
    CHANGE(REMOVE_NOTE).remove_note = (wasmail_policy_types_note_removal_t){(uint8_t)scope, dup(pointer)};
}

void wm_add_result(wm_outcome *outcome, wm_scope scope, wm_list list, const char *text) {
    CHANGE(ADD_RESULT).add_result =
        (wasmail_policy_types_result_entry_t){(uint8_t)scope, (uint8_t)list, dup(text)};
}

void wm_incr_result(wm_outcome *outcome, wm_scope scope, const char *key, double by) {
    CHANGE(INCR_RESULT).incr_result = (wasmail_policy_types_result_increment_t){(uint8_t)scope, dup(key), by};
}

void wm_push_result(wm_outcome *outcome, wm_scope scope, const char *key, const char *json) {
    CHANGE(PUSH_RESULT).push_result = (wasmail_policy_types_result_value_t){(uint8_t)scope, dup(key), dup(json)};
}

void wm_set_result(wm_outcome *outcome, wm_scope scope, const char *key, const char *json) {
    CHANGE(SET_RESULT).set_result = (wasmail_policy_types_result_value_t){(uint8_t)scope, dup(key), dup(json)};
}

void wm_set_relaying(wm_outcome *outcome, bool relaying) { CHANGE(SET_RELAYING).set_relaying = relaying; }

static plugin_option_string_t maybe(const char *text) {
    plugin_option_string_t option = {text != NULL, {0}};
    if (text) option.val = dup(text);
    return option;
}

void wm_set_remote_host(wm_outcome *outcome, const char *host) { CHANGE(SET_REMOTE_HOST).set_remote_host = maybe(host); }

void wm_add_header(wm_outcome *outcome, const char *name, const char *value) {
    CHANGE(ADD_HEADER).add_header = (wasmail_policy_types_header_field_t){dup(name), dup(value)};
}

void wm_prepend_header(wm_outcome *outcome, const char *name, const char *value) {
    CHANGE(PREPEND_HEADER).prepend_header = (wasmail_policy_types_header_field_t){dup(name), dup(value)};
}

void wm_replace_header(wm_outcome *outcome, uint32_t position, const char *name, const char *value) {
    CHANGE(REPLACE_HEADER).replace_header =
        (wasmail_policy_types_header_replacement_t){position, dup(name), dup(value)};
}

void wm_remove_header(wm_outcome *outcome, uint32_t position) { CHANGE(REMOVE_HEADER).remove_header = position; }

void wm_add_banner(wm_outcome *outcome, const char *text, const char *html) {
    CHANGE(ADD_BANNER).add_banner = (wasmail_policy_types_banner_t){maybe(text), maybe(html)};
}

void wm_replace_part(wm_outcome *outcome, uint32_t part, const char *media_type, const char *name, const void *content, size_t len) {
    wm_str copy = wm_given(content, len);
    CHANGE(REPLACE_PART).replace_part = (wasmail_policy_types_part_replacement_t){
        part, dup(media_type), maybe(name), {copy.ptr, copy.len}};
}

void wm_remove_part(wm_outcome *outcome, uint32_t part) { CHANGE(REMOVE_PART).remove_part = part; }

void wm_add_recipient(wm_outcome *outcome, const char *address) {
    CHANGE(ADD_RECIPIENT).add_recipient = (wm_recipient){dup(address), {NULL, 0}};
}

void wm_remove_recipient(wm_outcome *outcome, uint32_t position) { CHANGE(REMOVE_RECIPIENT).remove_recipient = position; }

void wm_rewrite_recipient(wm_outcome *outcome, uint32_t position, const char *address) {
    CHANGE(REWRITE_RECIPIENT).rewrite_recipient =
        (wasmail_policy_types_recipient_rewrite_t){.position = position, .address = dup(address)};
}

void wm_set_reverse_path(wm_outcome *outcome, const char *address) {
    CHANGE(SET_REVERSE_PATH).set_reverse_path = dup(address);
}

void wm_set_route(wm_outcome *outcome, const char *name) { CHANGE(SET_ROUTE).set_route = maybe(name); }
void wm_quarantine(wm_outcome *outcome, const char *reason) { CHANGE(QUARANTINE).quarantine = dup(reason); }
void wm_delay(wm_outcome *outcome, uint32_t milliseconds) { CHANGE(DELAY).delay = milliseconds; }
void wm_skip_plugin(wm_outcome *outcome, const char *name) { CHANGE(SKIP_PLUGIN).skip_plugin = dup(name); }
void wm_add_capability(wm_outcome *outcome, const char *line) { CHANGE(ADD_CAPABILITY).add_capability = dup(line); }

/* ---- From the one kind of outcome to those of the hooks ---- */

const char *wm_verdict_name(wm_verdict verdict) {
    static const char *const names[] = {
        "next",       "accept",  "deny",  "deny-soft", "deny-disconnect", "deny-soft-disconnect",
        "disconnect", "read-as", "delay", "bounce",    "route",           "done",
        "exchanges",  "silence",
    };
    return names[verdict];
}

static uint8_t tag(wm_verdict verdict, const int *tags, const char *family) {
    int tag = verdict > WM_READ_AS ? -1 : tags[verdict];
    if (tag < 0) wm_fail("%s means nothing at a hook that answers with %s", wm_verdict_name(verdict), family);
    return (uint8_t)tag;
}

/* Tags in the order of wm_verdict. */
#define CONVERTS(kind, family, ...)                                                                                     \
    void wm_to_##kind(wm_outcome from, wasmail_policy_types_##kind##_t *to) {                                           \
        static const int tags[] = {__VA_ARGS__};                                                                        \
        memset(to, 0, sizeof *to);                                                                                      \
        to->verdict.tag = tag(from.verdict, tags, family);                                                              \
        if (from.verdict != WM_NEXT && from.verdict != WM_DISCONNECT && from.verdict != WM_READ_AS)                     \
            take_reply_##kind(&from, to);                                                                               \
        to->mutations = from.mutations;                                                                                 \
    }
#define TAKES_REPLY(kind)                                                                                               \
    static void take_reply_##kind(wm_outcome *from, wasmail_policy_types_##kind##_t *to) {                              \
        to->verdict.val.deny = from->reply;                                                                             \
    }

static void take_reply_outcome(wm_outcome *from, wasmail_policy_types_outcome_t *to) {
    if (from->verdict != WM_ACCEPT) to->verdict.val.deny = from->reply;
}
TAKES_REPLY(replying_outcome)
TAKES_REPLY(objecting_outcome)
CONVERTS(outcome, "next, accept or a refusal", 0, 1, 2, 3, 4, 5, 6, -1)
CONVERTS(replying_outcome, "next, accept or a refusal", 0, 1, 2, 3, 4, 5, 6, -1)
CONVERTS(objecting_outcome, "next or a refusal", 0, -1, 1, 2, 3, 4, 5, -1)

static void take_reply_connect_outcome(wm_outcome *from, wasmail_policy_types_connect_outcome_t *to) {
    if (from->verdict != WM_ACCEPT) {
        to->verdict.val.deny = from->reply;
    } else if (from->reply.is_some && from->reply.val.lines.len) {
        to->verdict.val.accept = (plugin_option_string_t){true, from->reply.val.lines.ptr[0]};
    }
}
CONVERTS(connect_outcome, "next, accept or a refusal", 0, 1, 2, 3, 4, 5, 6, -1)

void wm_to_command_outcome(wm_outcome from, wasmail_policy_types_command_outcome_t *to) {
    static const int tags[] = {0, 1, 3, 4, 5, 6, 7, 2};
    memset(to, 0, sizeof *to);
    to->verdict.tag = tag(from.verdict, tags, "next, accept, read-as or a refusal");
    if (from.verdict == WM_READ_AS) to->verdict.val.read_as = from.reply.val.lines.ptr[0];
    else if (from.verdict != WM_NEXT && from.verdict != WM_DISCONNECT) to->verdict.val.deny = from.reply;
    to->mutations = from.mutations;
}

void wm_to_deny_outcome(wm_outcome from, wasmail_policy_types_deny_outcome_t *to) {
    static const int tags[] = {0, 1, -1, -1, -1, -1, -1, -1};
    memset(to, 0, sizeof *to);
    to->verdict.tag = tag(from.verdict, tags, "next or overturn");
    if (from.verdict == WM_ACCEPT) to->verdict.val.overturn = from.reply;
    to->mutations = from.mutations;
}

void wm_to_changes(wm_outcome from, wasmail_policy_types_changes_t *to) {
    static const int tags[] = {0, -1, -1, -1, -1, -1, -1, -1};
    tag(from.verdict, tags, "changes alone: return wm_next()");
    to->mutations = from.mutations;
}

/* ---- Calls ---- */

void wm_end_call(wm_connection *c, wm_transaction *t, wm_recipient *r) {
    wasmail_policy_types_connection_free(c);
    if (t) wasmail_policy_types_transaction_free(t);
    if (r) wasmail_policy_types_recipient_free(r);
    wm_forget_scraps();
}

bool wm_configured(const char *error, wm_str *json, wm_str *err) {
    if (error) *err = dup(error);
    plugin_string_free(json);
    wm_forget_scraps();
    return !error;
}

static plugin_list_string_t strings(const char *const *list) {
    plugin_list_string_t strings = {NULL, 0};
    for (; list && *list; list++) {
        strings.ptr = wm_must(realloc(strings.ptr, (strings.len + 1) * sizeof *strings.ptr));
        strings.ptr[strings.len++] = dup(*list);
    }
    return strings;
}

void exports_wasmail_policy_describe_describe(exports_wasmail_policy_describe_manifest_t *ret) {
    const wm_manifest *own = &wm_the_manifest;
    memset(ret, 0, sizeof *ret);
    ret->name = dup(own->name ? own->name : "");
    ret->version = dup(own->version ? own->version : "");
    ret->description = dup(own->description ? own->description : "");
    ret->reads_notes = strings(own->reads_notes);
    ret->reads_results = strings(own->reads_results);
    ret->needs = strings(own->needs);
    ret->config_schema = maybe(own->config_schema);
    ret->footprint.is_some = own->has_footprint;
    ret->footprint.val.reads = own->reads;
    ret->footprint.val.writes = own->writes;
    if (own->has_footprint) ret->footprint.val.writes_notes = strings(own->writes_notes);
}
