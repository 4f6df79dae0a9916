/* The hooks of delivery, as wasmail.h promises them. */
#include "wasmail_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Answering ---- */

wm_outcome wm_delay_as_scheduled(void) { return wm_verdict_with(WM_DELAY, NULL); }

wm_outcome wm_delay_for(uint32_t seconds) {
    wm_outcome outcome = wm_delay_as_scheduled();
    outcome.seconds = (plugin_option_u32_t){true, seconds};
    return outcome;
}

wm_outcome wm_bounce(const char *text) { return wm_verdict_with(WM_BOUNCE, text); }
wm_outcome wm_route(const char *name) { return wm_verdict_with(WM_ROUTE, name ? name : ""); }
wm_outcome wm_done(void) { return wm_verdict_with(WM_DONE, NULL); }
wm_outcome wm_exchanges(void) { return wm_verdict_with(WM_EXCHANGES, NULL); }
wm_outcome wm_silence(void) { return wm_verdict_with(WM_SILENCE, NULL); }

static void only_of(const wm_outcome *outcome, wm_verdict verdict, const char *what) {
    if (outcome->verdict == verdict) return;
    wm_fail("%s belongs to %s, not to %s", what, wm_verdict_name(verdict), wm_verdict_name(outcome->verdict));
}

void wm_add_answer(wm_outcome *outcome, uint32_t target, uint16_t code, const char *text) {
    only_of(outcome, WM_DONE, "an answer");
    wasmail_policy_delivery_list_answer_t *all = &outcome->answers;
    all->ptr = wm_must(realloc(all->ptr, (all->len + 1) * sizeof *all->ptr));
    /* The lines of a reply, split as those are. */
    wm_outcome said = wm_verdict_with(WM_DONE, text);
    all->ptr[all->len++] = (wm_answer){.target = target, .code = {true, code}, .lines = said.reply.val.lines};
}

void wm_answer_status(wm_outcome *outcome, uint8_t class, uint16_t subject, uint16_t detail) {
    only_of(outcome, WM_DONE, "the status of an answer");
    if (!outcome->answers.len) wm_fail("wm_answer_status before any wm_add_answer");
    wm_answer *last = &outcome->answers.ptr[outcome->answers.len - 1];
    last->enhanced.is_some = true;
    last->enhanced.val = (wasmail_policy_types_enhanced_status_t){class, subject, detail};
}

void wm_add_exchange(wm_outcome *outcome, uint16_t preference, const char *host, uint16_t port) {
    only_of(outcome, WM_EXCHANGES, "an exchange");
    wasmail_policy_delivery_list_exchange_t *all = &outcome->exchanges;
    all->ptr = wm_must(realloc(all->ptr, (all->len + 1) * sizeof *all->ptr));
    all->ptr[all->len++] = (wasmail_policy_delivery_exchange_t){
        .preference = preference, .host = wm_given(host, strlen(host)), .port = {port != 0, port}};
}

/* ---- Texts ---- */

/* Status and lines, parted by blanks. */
static const char *joined(const wasmail_policy_types_enhanced_status_t *status, const plugin_list_string_t *lines) {
    size_t size = sizeof "255.65535.65535 ";
    for (size_t i = 0; i < lines->len; i++) size += lines->ptr[i].len + 1;
    char *text = wm_scratch(size), *to = text;
    *to = 0;
    if (status) to += sprintf(to, "%u.%u.%u", status->class_, status->subject, status->detail);
    for (size_t i = 0; i < lines->len; i++) {
        if (to != text) *to++ = ' ';
        memcpy(to, lines->ptr[i].ptr, lines->ptr[i].len);
        to += lines->ptr[i].len;
        *to = 0;
    }
    return text;
}

const char *wm_answer_text(const wm_answer *answer) {
    const char *text = joined(answer->enhanced.is_some ? &answer->enhanced.val : NULL, &answer->lines);
    return answer->code.is_some ? wm_format("%u%s%s", answer->code.val, *text ? " " : "", text) : text;
}

/* The text of a verdict, for the host to read; what it was made of is freed. */
static wm_str reason(wm_outcome *from) {
    wasmail_policy_types_reply_t *reply = &from->reply.val;
    const char *text = joined(reply->enhanced.is_some ? &reply->enhanced.val : NULL, &reply->lines);
    wasmail_policy_types_option_reply_free(&from->reply);
    return wm_given(text, strlen(text));
}

/* ---- From the one kind of outcome to those of the hooks ---- */

/* Tags by wm_verdict, each one larger than it is, so that 0 is none. */
typedef const uint8_t wm_tags[WM_SILENCE + 1];

_Noreturn static void wrong(const wm_outcome *from, const char *hook, const char *why) {
    wm_fail("%s: %s %s", hook, wm_verdict_name(from->verdict), why);
}

/* The tag of a verdict that the hook knows and that changes nothing. */
static uint8_t judged(const wm_outcome *from, const char *hook, wm_tags tags) {
    const wasmail_policy_types_option_reply_t *reply = &from->reply;
    bool bounces = from->verdict == WM_BOUNCE;
    if (!tags[from->verdict]) wm_fail("%s knows no %s", hook, wm_verdict_name(from->verdict));
    if (from->mutations.len) wrong(from, hook, "cannot come with changes: nothing of the message can be changed");
    if (reply->is_some && reply->val.code.is_some) wrong(from, hook, "has no code");
    if (reply->is_some && reply->val.enhanced.is_some && !bounces) wrong(from, hook, "has no status");
    return tags[from->verdict] - 1;
}

void wm_to_pre_send_verdict(wm_outcome from, wasmail_policy_delivery_pre_send_verdict_t *to) {
    static wm_tags tags = {
        [WM_NEXT] = 1 + WASMAIL_POLICY_DELIVERY_PRE_SEND_VERDICT_NEXT,
        [WM_DELAY] = 1 + WASMAIL_POLICY_DELIVERY_PRE_SEND_VERDICT_DELAY,
        [WM_BOUNCE] = 1 + WASMAIL_POLICY_DELIVERY_PRE_SEND_VERDICT_BOUNCE,
        [WM_ROUTE] = 1 + WASMAIL_POLICY_DELIVERY_PRE_SEND_VERDICT_ROUTE,
    };
    memset(to, 0, sizeof *to);
    to->tag = judged(&from, "pre-send", tags);
    if (from.verdict == WM_DELAY) to->val.delay = from.seconds;
    if (from.verdict == WM_ROUTE) to->val.route = reason(&from);
    if (from.verdict == WM_BOUNCE && from.reply.is_some) to->val.bounce = (plugin_option_string_t){true, reason(&from)};
}

void wm_to_send_verdict(wm_outcome from, wasmail_policy_delivery_send_verdict_t *to) {
    static wm_tags tags = {
        [WM_NEXT] = 1 + WASMAIL_POLICY_DELIVERY_SEND_VERDICT_NEXT,
        [WM_DONE] = 1 + WASMAIL_POLICY_DELIVERY_SEND_VERDICT_DONE,
    };
    memset(to, 0, sizeof *to);
    to->tag = judged(&from, "send", tags);
    to->val.done = from.answers;
}

void wm_to_exchanges_verdict(wm_outcome from, wasmail_policy_delivery_exchanges_verdict_t *to) {
    static wm_tags tags = {
        [WM_NEXT] = 1 + WASMAIL_POLICY_DELIVERY_EXCHANGES_VERDICT_NEXT,
        [WM_EXCHANGES] = 1 + WASMAIL_POLICY_DELIVERY_EXCHANGES_VERDICT_EXCHANGES,
        [WM_DELAY] = 1 + WASMAIL_POLICY_DELIVERY_EXCHANGES_VERDICT_DELAY,
    };
    memset(to, 0, sizeof *to);
    to->tag = judged(&from, "get-mx", tags);
    if (from.verdict == WM_DELAY) to->val.delay = from.seconds;
    if (from.verdict == WM_EXCHANGES) to->val.exchanges = from.exchanges;
}

void wm_to_deferred_verdict(wm_outcome from, wasmail_policy_delivery_deferred_verdict_t *to) {
    static wm_tags tags = {
        [WM_NEXT] = 1 + WASMAIL_POLICY_DELIVERY_DEFERRED_VERDICT_NEXT,
        [WM_DELAY] = 1 + WASMAIL_POLICY_DELIVERY_DEFERRED_VERDICT_DELAY,
        [WM_BOUNCE] = 1 + WASMAIL_POLICY_DELIVERY_DEFERRED_VERDICT_BOUNCE,
    };
    memset(to, 0, sizeof *to);
    to->tag = judged(&from, "deferred", tags);
    if (from.reply.is_some) wrong(&from, "deferred", "carries nothing here");
    if (from.verdict != WM_DELAY) return;
    if (!from.seconds.is_some) wrong(&from, "deferred", "needs to know how many seconds");
    to->val.delay = from.seconds.val;
}

void wm_to_bounce_verdict(wm_outcome from, wasmail_policy_delivery_bounce_verdict_t *to) {
    static wm_tags tags = {
        [WM_NEXT] = 1 + WASMAIL_POLICY_DELIVERY_BOUNCE_VERDICT_NEXT,
        [WM_SILENCE] = 1 + WASMAIL_POLICY_DELIVERY_BOUNCE_VERDICT_SILENCE,
    };
    to->tag = judged(&from, "bounce", tags);
}

void wm_end_delivery(wm_consignment *c) {
    wasmail_policy_delivery_consignment_free(c);
    wm_forget_scraps();
}
