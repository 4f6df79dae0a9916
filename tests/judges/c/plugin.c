/* Says about delivery what it is told to, and logs what it is asked, as ../src/lib.rs does. */
#include <wasmail.h>

#include <stdlib.h>
#include <string.h>

WM_DESCRIBE(.name = "judges", .version = "0.1.0", .reads_notes = WM_LIST("/judges/subject"),
            .needs = WM_LIST("take-messages", "route"))

/* What to say, by hook and domain, as `pre-send example.org`: JSON, which lives as long as the instance. */
static char *sayings;

WM_CONFIGURE(config) {
    if (!(sayings = strdup(wm_text(config)))) wm_fail("no memory for the configuration");
    return NULL;
}

/* What is to be said, `verdict rest`, at the first attempt; later there is no opinion. */
static const char *at(const char *hook, const wm_consignment *c) {
    const char *targets = "", *noted = wm_json_text(wm_note(&c->notes, "/judges/subject"));
    bool fresh = true;
    for (size_t i = 0; i < c->targets.len; i++) {
        const wasmail_policy_delivery_target_t *target = &c->targets.ptr[i];
        targets = wm_format("%s%s%s#%u", targets, i ? " " : "", wm_text(target->address), (unsigned)target->attempts);
        fresh = fresh && !target->attempts;
    }
    wm_info("%s %s [%s] from %s, noted %s", hook, wm_text(c->destination), targets, wm_text(c->reverse_path),
            noted ? noted : "nothing");
    if (!fresh && strcmp(hook, "bounce")) return "next";
    const char *saying = wm_json_text(wm_json_at(wm_c(sayings), wm_format("/%s %s", hook, wm_text(c->destination))));
    return saying ? saying : "next";
}

/* What stands behind the verdict of a saying, or NULL when it is another verdict. */
static const char *after(const char *saying, const char *verdict) {
    size_t len = strlen(verdict);
    if (strncmp(saying, verdict, len) || (saying[len] && saying[len] != ' ')) return NULL;
    return saying + len + (saying[len] == ' ');
}

static wm_outcome put_off(const char *seconds) {
    return *seconds ? wm_delay_for((uint32_t)atoi(seconds)) : wm_delay_as_scheduled();
}

static void tell(const char *what, const wm_answer *answers, size_t count) {
    for (size_t i = 0; i < count; i++) wm_info("%s: %s", what, wm_answer_text(&answers[i]));
}

WM_DATA_POST(c, t) {
    (void)c, (void)t;
    wm_outcome outcome = wm_next();
    wm_set_note_text(&outcome, WM_TRANSACTION, "/judges/subject", wm_field("Subject"));
    return outcome;
}

WM_PRE_SEND(c) {
    wm_info("about %s, %llu octets of body", wm_field("Subject"), (unsigned long long)wm_body_size());
    const char *saying = at("pre-send", c), *rest;
    if ((rest = after(saying, "delay"))) return put_off(rest);
    if ((rest = after(saying, "bounce"))) return wm_bounce(rest);
    if ((rest = after(saying, "route"))) return wm_route(rest);
    if (after(saying, "wrong")) return wm_silence();
    if (after(saying, "trap")) wm_fail("told to");
    wm_outcome outcome = wm_next();
    if (after(saying, "change")) wm_set_note(&outcome, WM_TRANSACTION, "/judges/late", "true");
    return outcome;
}

WM_SEND(c) {
    const char *rest = after(at("send", c), "done");
    if (!rest) return wm_next();
    wm_outcome done = wm_done();
    char *text;
    uint16_t code = (uint16_t)strtol(rest, &text, 10);
    for (size_t i = 0; i < c->targets.len; i++)
        wm_add_answer(&done, (uint32_t)i, code, wm_format("%s %s", text + 1, wm_field("Subject")));
    return done;
}

WM_GET_MX(c) {
    const char *saying = at("get-mx", c), *rest;
    if ((rest = after(saying, "delay"))) return put_off(rest);
    if (after(saying, "none")) return wm_exchanges();
    if (!(rest = after(saying, "exchange"))) return wm_next();
    wm_outcome exchanges = wm_exchanges();
    const char *colon = strrchr(rest, ':');
    wm_add_exchange(&exchanges, 10, wm_format("%.*s", (int)(colon - rest), rest), (uint16_t)atoi(colon + 1));
    return exchanges;
}

WM_DELIVERED(c, answers, count) {
    at("delivered", c);
    tell("delivered", answers, count);
}

WM_DEFERRED(c, answers, count) {
    tell("deferred", answers, count);
    const char *saying = at("deferred", c), *rest;
    if ((rest = after(saying, "delay"))) return put_off(rest);
    return after(saying, "bounce") ? wm_bounce(NULL) : wm_next();
}

WM_ON_BOUNCE(c, answers, count) {
    tell("bounces", answers, count);
    return after(at("bounce", c), "silence") ? wm_silence() : wm_next();
}
