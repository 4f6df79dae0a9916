/* The example that there is in every language; ../../example/README.md says what it does. */
#include <wasmail.h>

#include <stdlib.h>
#include <string.h>

WM_DESCRIBE(.name = "example", .version = "0.1.0", .description = "The example that there is in every language.",
            .reads_notes = WM_LIST("/example/seen", "/example/recipients"), .needs = WM_LIST("accept-recipients"))

/* Lists that end with NULL. They live as long as the instance. */
static char **domains, **blocked;
/* Lives as long. */
static char *greeting;

/* Takes a list of texts; false when it is none. */
static bool take_list(wm_str json, char ***into) {
    size_t at = 0, count = 0;
    wm_str key, item;
    if (!wm_json_is_array(json)) return false;
    while (wm_json_each(json, &at, &key, &item)) {
        const char *text = wm_json_text(item);
        if (!text) return false;
        *into = realloc(*into, (count + 2) * sizeof **into);
        if (!*into || !((*into)[count] = strdup(text))) wm_fail("no memory for the configuration");
        (*into)[++count] = NULL;
    }
    return true;
}

static bool listed(wm_str text, char **list) {
    for (; list && *list; list++)
        if (wm_equal_nocase(text, *list)) return true;
    return false;
}

WM_CONFIGURE(config) {
    size_t at = 0;
    wm_str key, value;
    while (wm_json_each(config, &at, &key, &value)) {
        const char *name = wm_json_text(key);
        if (!strcmp(name, "domains")) {
            if (!take_list(value, &domains)) return "domains: expected a list of texts";
        } else if (!strcmp(name, "blocked")) {
            if (!take_list(value, &blocked)) return "blocked: expected a list of texts";
        } else if (!strcmp(name, "greeting")) {
            if (!wm_json_is_text(value)) return "greeting: expected a text";
            if (!(greeting = strdup(wm_json_text(value)))) wm_fail("no memory for the configuration");
        } else {
            return wm_format("unknown key `%s`", name);
        }
    }
    return NULL;
}

WM_CONNECT(c) {
    (void)c;
    wm_outcome outcome = wm_next();
    wm_set_note_int(&outcome, WM_CONNECTION, "/example/seen", 1);
    return outcome;
}

/* Greets a sender, and says how often it has come. */
static wm_outcome greeted(wm_str sender) {
    int64_t times;
    wasmail_policy_kv_failure_t failure;
    if (!greeting || !*greeting) return wm_next();
    if (wasmail_policy_kv_increment(&sender, 1, NULL, &times, &failure))
        return wm_accept_with(wm_format("%s, %lld", greeting, (long long)times));
    bool granted = failure.tag != WASMAIL_POLICY_CAPABILITY_FAILURE_NOT_GRANTED;
    wasmail_policy_capability_failure_free(&failure);
    return granted ? wm_next() : wm_accept_with(wm_format("%s, stranger", greeting));
}

WM_MAIL(c, t) {
    (void)c;
    wm_outcome outcome;
    if (listed(t->reverse_path, blocked)) {
        outcome = wm_deny(wm_format("%s is blocked here", wm_text(t->reverse_path)));
        wm_status(&outcome, 5, 7, 1);
    } else {
        outcome = greeted(t->reverse_path);
    }
    wm_incr_result(&outcome, WM_CONNECTION, "senders", 1);
    return outcome;
}

WM_RCPT(c, t, r) {
    (void)c;
    if (wm_equal_nocase(wm_local_part(r->address), "nobody")) {
        wm_outcome refused = wm_deny("no such user here\nask postmaster");
        wm_status(&refused, 5, 1, 1);
        return refused;
    }
    wm_outcome outcome = listed(wm_domain(r->address), domains) ? wm_accept() : wm_next();
    wm_set_note_int(&outcome, WM_TRANSACTION, "/example/recipients", (long long)t->recipients.len + 1);
    return outcome;
}

WM_DATA_POST(c, t) {
    const char *subject = wm_field("Subject");
    if (!subject) {
        wm_outcome refused = wm_deny_soft("come back with a subject");
        wm_code(&refused, 451);
        wm_status(&refused, 4, 7, 1);
        return refused;
    }
    wm_outcome outcome = wm_next();
    wm_add_header(&outcome, "X-Example",
                  wm_format("recipients=%lld; subject=%zu; body=%llu; seen=%lld",
                            wm_note_int(&t->notes, "/example/recipients", 0), wm_characters(wm_c(subject)),
                            (unsigned long long)wm_body_size(), wm_note_int(&c->notes, "/example/seen", 0)));
    wm_add_result(&outcome, WM_TRANSACTION, WM_PASS, "checked");
    return outcome;
}
