/* Write a wasmail policy plugin in C.
 *
 * A plugin says what it is with WM_DESCRIBE, takes its configuration with WM_CONFIGURE, and has a WM_ macro for each hook that
 * wasmail-plugin.toml names. `wasmail plugin build` makes the bindings (plugin.h) and the component.
 *
 *     #include <wasmail.h>
 *
 *     WM_DESCRIBE(.name = "no-such-user", .version = "0.1.0", .description = "Refuses nobody@.")
 *
 *     WM_RCPT(c, t, r) {
 *         if (wm_equal_nocase(wm_local_part(r->address), "nobody")) return wm_deny("no such user here");
 *         return wm_next();
 *     }
 *
 * What the records mean is said in wit/types.wit, from which plugin.h is made. Texts that come in are not ended by a NUL:
 * they are wm_str, a pointer and a length, and live until the hook returns. Texts that wm_format, wm_text and the JSON functions make
 * live as long. Whatever is given to an outcome is copied. When memory runs out the plugin traps, and the server answers
 * with what the binding's fault rule says.
 */
#ifndef WASMAIL_H
#define WASMAIL_H

#include "plugin.h"

typedef plugin_string_t wm_str;
typedef wasmail_policy_types_connection_t wm_connection;
typedef wasmail_policy_types_transaction_t wm_transaction;
typedef wasmail_policy_types_recipient_t wm_recipient;
typedef wasmail_policy_types_auth_attempt_t wm_auth_attempt;
typedef wasmail_policy_types_denial_t wm_denial;
typedef wasmail_policy_types_fate_t wm_fate;
typedef wasmail_policy_types_list_plugin_results_t wm_results;
typedef wasmail_policy_types_plugin_results_t wm_plugin_results;
typedef wasmail_policy_message_mime_part_t wm_part;
typedef wasmail_policy_message_structure_t wm_structure;
typedef wasmail_policy_delivery_consignment_t wm_consignment;
typedef wasmail_policy_delivery_answer_t wm_answer;

/* Whether a note or result belongs to the connection or to the transaction. */
typedef enum { WM_CONNECTION, WM_TRANSACTION } wm_scope;
/* The lists that every plugin's results have. */
typedef enum { WM_PASS, WM_FAIL, WM_MSG, WM_SKIP, WM_ERR } wm_list;

/* ---- Texts ---- */

/* A text of C as wm_str; it is not copied. */
wm_str wm_c(const char *text);
bool wm_equal(wm_str text, const char *other);
/* Case of ASCII letters means nothing. */
bool wm_equal_nocase(wm_str text, const char *other);
bool wm_starts_with(wm_str text, const char *with);
bool wm_ends_with(wm_str text, const char *with);
/* What stands before and behind the last @ of an address; the whole and nothing when there is none. */
wm_str wm_local_part(wm_str address);
wm_str wm_domain(wm_str address);
/* A copy that ends with a NUL. */
const char *wm_text(wm_str text);
/* As printf. */
const char *wm_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* How many characters a text in UTF-8 has. */
size_t wm_characters(wm_str text);

/* ---- JSON, as configuration and notes come ---- */

/* The value at a JSON Pointer (RFC 6901) in a JSON text, as JSON; its ptr is NULL when there is none. */
wm_str wm_json_at(wm_str json, const char *pointer);
/* Goes through the members of an object or the items of an array: start with *at = 0. For items, *key has no ptr. */
bool wm_json_each(wm_str json, size_t *at, wm_str *key, wm_str *value);
bool wm_json_is_text(wm_str json);
bool wm_json_is_array(wm_str json);
/* The text of a JSON string, or NULL when it is none. */
const char *wm_json_text(wm_str json);
/* The value of a whole JSON number, or `otherwise`. */
long long wm_json_int(wm_str json, long long otherwise);

/* ---- Reading ---- */

/* A note as JSON, of the &c->notes of a connection, a transaction or a consignment; ptr is NULL when it is not there or WM_DESCRIBE
 * does not say that it is read. Macros, for the lists of notes have a type each. */
#define wm_note(notes, pointer) wm_note_among((notes)->ptr, (notes)->len, pointer)
#define wm_note_int(notes, pointer, otherwise) wm_json_int(wm_note(notes, pointer), otherwise)
wm_str wm_note_among(const wasmail_policy_types_note_t *notes, size_t count, const char *pointer);
/* What a plugin recorded, or NULL. */
const wm_plugin_results *wm_results_of(const wm_results *results, const char *plugin);

/* The user's name, and either the password or the token (RFC 7628); ptr is NULL without the grant `credentials`. */
wm_str wm_user(const wm_auth_attempt *attempt);
wm_str wm_password(const wm_auth_attempt *attempt);
wm_str wm_token(const wm_auth_attempt *attempt);

/* The message, at part, data-post, queue, queue-outbound and the hooks of delivery; to read it elsewhere traps. There is more of it
 * in plugin.h: the functions wasmail_policy_message_*. */

/* The value of the first header field of this name, or NULL; as it stands, or with encoded words (RFC 2047) decoded. */
const char *wm_field(const char *name);
const char *wm_decoded_field(const char *name);
/* How many header fields of this name there are. */
size_t wm_count_fields(const char *name);
/* Octets of the body. */
uint64_t wm_body_size(void);
/* Reads at most `len` octets of the body, 65 536 at once; returns how many, 0 past the end, -1 when they cannot be read. */
long wm_read_body(uint64_t offset, void *into, size_t len);
/* The same of a part's decoded content. */
long wm_read_part(uint32_t part, uint64_t offset, void *into, size_t len);

/* Lines in the operator's log. */
void wm_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void wm_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void wm_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void wm_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says why, and traps: the server answers with what the binding's fault rule says. */
_Noreturn void wm_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- Answering ---- */

typedef enum {
    WM_NEXT, WM_ACCEPT, WM_DENY, WM_DENY_SOFT, WM_DENY_DISCONNECT, WM_DENY_SOFT_DISCONNECT, WM_DISCONNECT, WM_READ_AS,
    WM_DELAY, WM_BOUNCE, WM_ROUTE, WM_DONE, WM_EXCHANGES, WM_SILENCE
} wm_verdict;

/* An answer: a verdict, perhaps with a text, and what to change. Make it with one of the functions below. A verdict that
 * means nothing at the hook, such as accepting at rcpt-ok, is a fault that says so. */
typedef struct {
    wm_verdict verdict;
    wasmail_policy_types_option_reply_t reply;
    wasmail_policy_types_list_mutation_t mutations;
    /* What verdicts of the hooks of delivery carry. */
    plugin_option_u32_t seconds;
    wasmail_policy_delivery_list_answer_t answers;
    wasmail_policy_delivery_list_exchange_t exchanges;
} wm_outcome;

wm_outcome wm_next(void);
wm_outcome wm_accept(void);
wm_outcome wm_disconnect(void);
/* NULL for the host's own text; a line break begins another line of the reply. */
wm_outcome wm_accept_with(const char *text);
wm_outcome wm_deny(const char *text);
wm_outcome wm_deny_soft(const char *text);
wm_outcome wm_deny_disconnect(const char *text);
wm_outcome wm_deny_soft_disconnect(const char *text);
/* unrecognized-command only: the host carries out this line instead. */
wm_outcome wm_read_as(const char *line);
/* deny only; NULL for the host's own text. */
wm_outcome wm_overturn(const char *text);

/* Verdicts of the hooks of delivery, where nothing of the message can be changed: wm_next() there has the host do as usual. */

/* pre-send, get-mx and deferred: tried again after so many seconds; pre-send and get-mx: when the schedule says. */
wm_outcome wm_delay_for(uint32_t seconds);
wm_outcome wm_delay_as_scheduled(void);
/* pre-send: the recipients bounce with this text, or NULL, and its wm_status; deferred, with NULL: they are given up. */
wm_outcome wm_bounce(const char *text);
/* pre-send: goes by this route of the operator's, this time. */
wm_outcome wm_route(const char *name);
/* send: the plugin has delivered, or tried to. Add an answer for each target, by its index: 2yz, it has the message; 4yz, to be tried
 * again; 5yz, it never will. The text may be NULL; wm_answer_status is about the answer that was added last. */
wm_outcome wm_done(void);
void wm_add_answer(wm_outcome *done, uint32_t target, uint16_t code, const char *text);
void wm_answer_status(wm_outcome *done, uint8_t class, uint16_t subject, uint16_t detail);
/* get-mx: the servers that are added, each a host name or an address; none: the domain takes no mail. Port 0 is the usual one. */
wm_outcome wm_exchanges(void);
void wm_add_exchange(wm_outcome *exchanges, uint16_t preference, const char *host, uint16_t port);
/* bounce: the sender is not told. */
wm_outcome wm_silence(void);
/* All that was said of a target, in one line, with the codes in front. */
const char *wm_answer_text(const wm_answer *answer);

/* The codes of the reply. */
void wm_code(wm_outcome *outcome, uint16_t code);
void wm_status(wm_outcome *outcome, uint8_t class, uint16_t subject, uint16_t detail);

/* What to change; wit/types.wit says what each does and which grant it needs. */
void wm_set_note(wm_outcome *outcome, wm_scope scope, const char *pointer, const char *json);
void wm_set_note_text(wm_outcome *outcome, wm_scope scope, const char *pointer, const char *text);
void wm_set_note_int(wm_outcome *outcome, wm_scope scope, const char *pointer, long long number);
void wm_remove_note(wm_outcome *outcome, wm_scope scope, const char *pointer);
void wm_add_result(wm_outcome *outcome, wm_scope scope, wm_list list, const char *text);
void wm_incr_result(wm_outcome *outcome, wm_scope scope, const char *key, double by);
void wm_push_result(wm_outcome *outcome, wm_scope scope, const char *key, const char *json);
void wm_set_result(wm_outcome *outcome, wm_scope scope, const char *key, const char *json);
void wm_set_relaying(wm_outcome *outcome, bool relaying);
void wm_set_remote_host(wm_outcome *outcome, const char *host_or_null);
void wm_add_header(wm_outcome *outcome, const char *name, const char *value);
void wm_prepend_header(wm_outcome *outcome, const char *name, const char *value);
void wm_replace_header(wm_outcome *outcome, uint32_t position, const char *name, const char *value);
void wm_remove_header(wm_outcome *outcome, uint32_t position);
/* Either text may be NULL. */
void wm_add_banner(wm_outcome *outcome, const char *text, const char *html);
/* `name` may be NULL. */
void wm_replace_part(wm_outcome *outcome, uint32_t part, const char *media_type, const char *name, const void *content, size_t len);
void wm_remove_part(wm_outcome *outcome, uint32_t part);
void wm_add_recipient(wm_outcome *outcome, const char *address);
void wm_remove_recipient(wm_outcome *outcome, uint32_t position);
void wm_rewrite_recipient(wm_outcome *outcome, uint32_t position, const char *address);
void wm_set_reverse_path(wm_outcome *outcome, const char *address);
void wm_set_route(wm_outcome *outcome, const char *name_or_null);
void wm_quarantine(wm_outcome *outcome, const char *reason);
void wm_delay(wm_outcome *outcome, uint32_t milliseconds);
void wm_skip_plugin(wm_outcome *outcome, const char *name);
void wm_add_capability(wm_outcome *outcome, const char *line);

/* ---- What the plugin is ---- */

/* Facts for .reads and .writes of WM_DESCRIBE. */
enum {
    WM_RELAYING = 1, WM_REMOTE_HOST = 2, WM_REVERSE_PATH = 4, WM_RECIPIENTS = 8, WM_MESSAGE = 16, WM_DELIVERY = 32,
    WM_SKIPS = 64
};

/* The manifest (wit/hooks.wit). What is left out is empty. */
typedef struct {
    const char *name, *version, *description;
    /* Lists that end with NULL; write them with WM_LIST. */
    const char *const *reads_notes, *const *reads_results, *const *needs;
    const char *config_schema;
    /* Whether .reads, .writes and .writes_notes are to be believed, so that others may be asked at the same time. */
    bool has_footprint;
    uint8_t reads, writes;
    const char *const *writes_notes;
} wm_manifest;

#define WM_LIST(...) (const char *const[]){__VA_ARGS__, NULL}
#define WM_DESCRIBE(...) const wm_manifest wm_the_manifest = {__VA_ARGS__};
extern const wm_manifest wm_the_manifest;

/* ---- Hooks ---- */

/* The body that follows takes the configuration, a wm_str of JSON, and returns NULL or what is wrong with it. */
#define WM_CONFIGURE(config)                                                                                            \
    static const char *wm_on_configure(wm_str config);                                                                 \
    bool exports_wasmail_policy_hook_configure_configure(wm_str *wm_json, wm_str *wm_err) {                            \
        return wm_configured(wm_on_configure(*wm_json), wm_json, wm_err);                                              \
    }                                                                                                                   \
    static const char *wm_on_configure(wm_str config)
bool wm_configured(const char *error, wm_str *json, wm_str *err);

/* Ends a call: frees what came in and what was made on the way. */
void wm_end_call(wm_connection *c, wm_transaction *t, wm_recipient *r);

/* How the body that follows a hook's macro becomes the export: `params` are those of the export, `args` what is passed
 * on, `kind` the family of the hook's outcome. */
#define WM_HOOK_(module, function, kind, params, args, own, t_, r_)                                                     \
    static wm_outcome wm_on_##function own;                                                                             \
    void exports_wasmail_policy_hook_##module##_##function params {                                                     \
        wm_to_##kind(wm_on_##function args, ret);                                                                       \
        wm_end_call(c_, t_, r_);                                                                                         \
    }                                                                                                                   \
    static wm_outcome wm_on_##function own

#define WM_C_HOOK_(name, kind, c)                                                                                       \
    WM_HOOK_(name, name, kind, (wm_connection * c_, wasmail_policy_types_##kind##_t * ret), (c_),                       \
             (const wm_connection *c), NULL, NULL)
#define WM_T_HOOK_(name, kind, c, t)                                                                                    \
    WM_HOOK_(name, name, kind, (wm_connection * c_, wm_transaction * t_, wasmail_policy_types_##kind##_t * ret),        \
             (c_, t_), (const wm_connection *c, const wm_transaction *t), t_, NULL)
#define WM_R_HOOK_(name, kind, c, t, r)                                                                                 \
    WM_HOOK_(name, name, kind,                                                                                          \
             (wm_connection * c_, wm_transaction * t_, wm_recipient * r_, wasmail_policy_types_##kind##_t * ret),       \
             (c_, t_, r_), (const wm_connection *c, const wm_transaction *t, const wm_recipient *r), t_, r_)
#define WM_CONNECT_INIT(c) WM_C_HOOK_(connect_init, changes, c)
#define WM_LOOKUP_RDNS(c) WM_C_HOOK_(lookup_rdns, outcome, c)
#define WM_CONNECT(c) WM_C_HOOK_(connect, connect_outcome, c)
#define WM_HELO(c) WM_C_HOOK_(helo, outcome, c)
#define WM_EHLO(c) WM_C_HOOK_(ehlo, outcome, c)
#define WM_CAPABILITIES(c) WM_C_HOOK_(capabilities, changes, c)
#define WM_UNRECOGNIZED_COMMAND(c) WM_C_HOOK_(unrecognized_command, command_outcome, c)
#define WM_NOOP(c) WM_C_HOOK_(noop, replying_outcome, c)
#define WM_RSET(c) WM_C_HOOK_(rset, changes, c)
#define WM_QUIT(c) WM_C_HOOK_(quit, changes, c)
#define WM_MAIL(c, t) WM_T_HOOK_(mail, replying_outcome, c, t)
#define WM_RCPT(c, t, r) WM_R_HOOK_(rcpt, replying_outcome, c, t, r)
#define WM_RCPT_OK(c, t, r) WM_R_HOOK_(rcpt_ok, objecting_outcome, c, t, r)
#define WM_DATA(c, t) WM_T_HOOK_(data, outcome, c, t)
#define WM_MAX_DATA_EXCEEDED(c, t) WM_T_HOOK_(max_data_exceeded, objecting_outcome, c, t)
#define WM_DATA_POST(c, t) WM_T_HOOK_(data_post, outcome, c, t)
#define WM_QUEUE(c, t) WM_T_HOOK_(queue, replying_outcome, c, t)
#define WM_QUEUE_OUTBOUND(c, t) WM_T_HOOK_(queue_outbound, replying_outcome, c, t)

/* wm_user, wm_password and wm_token show what the client has shown. */
#define WM_AUTH(c, a)                                                                                                   \
    static wm_outcome wm_on_auth(const wm_connection *c, const wm_auth_attempt *a);                                     \
    void exports_wasmail_policy_hook_auth_auth(wm_connection *c_, wm_auth_attempt *a_,                                  \
                                               wasmail_policy_types_replying_outcome_t *ret) {                          \
        wm_to_replying_outcome(wm_on_auth(c_, a_), ret);                                                                \
        wasmail_policy_types_auth_attempt_free(a_);                                                                     \
        wm_end_call(c_, NULL, NULL);                                                                                    \
    }                                                                                                                   \
    static wm_outcome wm_on_auth(const wm_connection *c, const wm_auth_attempt *a)

/* The part is one of message.wit's mime-part. */
#define WM_PART(c, t, p)                                                                                                \
    static wm_outcome wm_on_part(const wm_connection *c, const wm_transaction *t, const wm_part *p);                    \
    void exports_wasmail_policy_hook_part_part(wm_connection *c_, wm_transaction *t_, wm_part *p_,                      \
                                               wasmail_policy_types_outcome_t *ret) {                                   \
        wm_to_outcome(wm_on_part(c_, t_, p_), ret);                                                                     \
        wasmail_policy_message_mime_part_free(p_);                                                                      \
        wm_end_call(c_, t_, NULL);                                                                                      \
    }                                                                                                                   \
    static wm_outcome wm_on_part(const wm_connection *c, const wm_transaction *t, const wm_part *p)

/* The argument of VRFY, and the message's name in the queue, are wm_str. */
#define WM_TEXT_HOOK_(name, kind, c, text, t_param, t_pass, t_own, t_free)                                              \
    static wm_outcome wm_on_##name(const wm_connection *c t_own, wm_str text);                                          \
    void exports_wasmail_policy_hook_##name##_##name(wm_connection *c_ t_param, wm_str *text_,                          \
                                                     wasmail_policy_types_##kind##_t *ret) {                            \
        wm_to_##kind(wm_on_##name(c_ t_pass, *text_), ret);                                                             \
        plugin_string_free(text_);                                                                                      \
        wm_end_call(c_, t_free, NULL);                                                                                  \
    }                                                                                                                   \
    static wm_outcome wm_on_##name(const wm_connection *c t_own, wm_str text)
#define WM_COMMA_ ,
#define WM_VRFY(c, argument) WM_TEXT_HOOK_(vrfy, replying_outcome, c, argument, , , , NULL)
#define WM_QUEUE_OK(c, t, id)                                                                                           \
    WM_TEXT_HOOK_(queue_ok, changes, c, id, WM_COMMA_ wm_transaction *t_, WM_COMMA_ t_, WM_COMMA_ const wm_transaction *t, t_)

/* The transaction is NULL when there is none. */
#define WM_ON_DENY(c, t, d)                                                                                             \
    static wm_outcome wm_on_deny(const wm_connection *c, const wm_transaction *t, const wm_denial *d);                  \
    void exports_wasmail_policy_hook_deny_deny(wm_connection *c_, wm_transaction *t_, wm_denial *d_,                    \
                                               wasmail_policy_types_deny_outcome_t *ret) {                              \
        wm_to_deny_outcome(wm_on_deny(c_, t_, d_), ret);                                                                \
        wasmail_policy_types_denial_free(d_);                                                                           \
        wm_end_call(c_, t_, NULL);                                                                                      \
    }                                                                                                                   \
    static wm_outcome wm_on_deny(const wm_connection *c, const wm_transaction *t, const wm_denial *d)

#define WM_RESET_TRANSACTION(c, t, how)                                                                                 \
    static wm_outcome wm_on_reset_transaction(const wm_connection *c, const wm_transaction *t, wm_fate how);            \
    void exports_wasmail_policy_hook_reset_transaction_reset_transaction(wm_connection *c_, wm_transaction *t_,         \
                                                                         wm_fate how_,                                  \
                                                                         wasmail_policy_types_changes_t *ret) {         \
        wm_to_changes(wm_on_reset_transaction(c_, t_, how_), ret);                                                      \
        wm_end_call(c_, t_, NULL);                                                                                      \
    }                                                                                                                   \
    static wm_outcome wm_on_reset_transaction(const wm_connection *c, const wm_transaction *t, wm_fate how)

/* Nothing is answered: the body returns nothing. */
#define WM_ON_DISCONNECT(c)                                                                                             \
    static void wm_on_disconnect(const wm_connection *c);                                                               \
    void exports_wasmail_policy_hook_disconnect_disconnect(wm_connection *c_) {                                         \
        wm_on_disconnect(c_);                                                                                           \
        wm_end_call(c_, NULL, NULL);                                                                                    \
    }                                                                                                                   \
    static void wm_on_disconnect(const wm_connection *c)

/* The hooks of delivery. */
#define WM_PRE_SEND(c) WM_DELIVERY_HOOK_(pre_send, pre_send_verdict, c)
#define WM_SEND(c) WM_DELIVERY_HOOK_(send, send_verdict, c)
#define WM_GET_MX(c) WM_DELIVERY_HOOK_(get_mx, exchanges_verdict, c)
#define WM_DELIVERY_HOOK_(name, kind, c)                                                                                \
    static wm_outcome wm_on_##name(const wm_consignment *c);                                                            \
    void exports_wasmail_policy_hook_##name##_##name(wm_consignment *c_, wasmail_policy_delivery_##kind##_t *ret) {     \
        wm_to_##kind(wm_on_##name(c_), ret);                                                                            \
        wm_end_delivery(c_);                                                                                            \
    }                                                                                                                   \
    static wm_outcome wm_on_##name(const wm_consignment *c)

/* What was said comes as so many wm_answer. */
#define WM_DEFERRED(c, answers, count) WM_NEWS_HOOK_(deferred, deferred_verdict, c, answers, count)
#define WM_ON_BOUNCE(c, answers, count) WM_NEWS_HOOK_(bounce, bounce_verdict, c, answers, count)
#define WM_NEWS_HOOK_(name, kind, c, answers, count)                                                                    \
    static wm_outcome wm_on_##name(const wm_consignment *c, const wm_answer *answers, size_t count);                    \
    void exports_wasmail_policy_hook_##name##_##name(                                                                   \
        wm_consignment *c_, exports_wasmail_policy_hook_##name##_list_answer_t *answers_,                               \
        wasmail_policy_delivery_##kind##_t *ret) {                                                                      \
        wm_to_##kind(wm_on_##name(c_, answers_->ptr, answers_->len), ret);                                              \
        exports_wasmail_policy_hook_##name##_list_answer_free(answers_);                                                \
        wm_end_delivery(c_);                                                                                            \
    }                                                                                                                   \
    static wm_outcome wm_on_##name(const wm_consignment *c, const wm_answer *answers, size_t count)

/* Nothing is answered: the body returns nothing. */
#define WM_DELIVERED(c, answers, count)                                                                                 \
    static void wm_on_delivered(const wm_consignment *c, const wm_answer *answers, size_t count);                       \
    void exports_wasmail_policy_hook_delivered_delivered(                                                               \
        wm_consignment *c_, exports_wasmail_policy_hook_delivered_list_answer_t *answers_) {                            \
        wm_on_delivered(c_, answers_->ptr, answers_->len);                                                              \
        exports_wasmail_policy_hook_delivered_list_answer_free(answers_);                                               \
        wm_end_delivery(c_);                                                                                            \
    }                                                                                                                   \
    static void wm_on_delivered(const wm_consignment *c, const wm_answer *answers, size_t count)

/* Ends a call of theirs: frees the consignment and what was made on the way. */
void wm_end_delivery(wm_consignment *c);

void wm_to_pre_send_verdict(wm_outcome from, wasmail_policy_delivery_pre_send_verdict_t *to);
void wm_to_send_verdict(wm_outcome from, wasmail_policy_delivery_send_verdict_t *to);
void wm_to_exchanges_verdict(wm_outcome from, wasmail_policy_delivery_exchanges_verdict_t *to);
void wm_to_deferred_verdict(wm_outcome from, wasmail_policy_delivery_deferred_verdict_t *to);
void wm_to_bounce_verdict(wm_outcome from, wasmail_policy_delivery_bounce_verdict_t *to);
void wm_to_connect_outcome(wm_outcome from, wasmail_policy_types_connect_outcome_t *to);
void wm_to_outcome(wm_outcome from, wasmail_policy_types_outcome_t *to);
void wm_to_replying_outcome(wm_outcome from, wasmail_policy_types_replying_outcome_t *to);
void wm_to_objecting_outcome(wm_outcome from, wasmail_policy_types_objecting_outcome_t *to);
void wm_to_command_outcome(wm_outcome from, wasmail_policy_types_command_outcome_t *to);
void wm_to_deny_outcome(wm_outcome from, wasmail_policy_types_deny_outcome_t *to);
void wm_to_changes(wm_outcome from, wasmail_policy_types_changes_t *to);

#endif
