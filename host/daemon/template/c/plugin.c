/* Refuses mail from listed senders. A start: change it into what you need. */
#include <wasmail.h>

#include <stdlib.h>
#include <string.h>

WM_DESCRIBE(.name = "{{name}}", .version = "0.1.0", .description = "Refuses mail from listed senders.")

/* Ends with NULL, and lives as long as the instance, which the server may drop at any moment: what must last belongs
 * into notes. */
static char **senders;

static const char *take_senders(wm_str list) {
    size_t at = 0, count = 0;
    wm_str key, item;
    if (!wm_json_is_array(list)) return "senders: expected a list of addresses";
    while (wm_json_each(list, &at, &key, &item)) {
        const char *sender = wm_json_text(item);
        if (!sender || !strchr(sender, '@')) return wm_format("senders[%zu]: this is no address", count);
        senders = realloc(senders, (count + 2) * sizeof *senders);
        if (!senders || !(senders[count] = strdup(sender))) wm_fail("no memory for the configuration");
        senders[++count] = NULL;
    }
    return NULL;
}

/* What the operator writes below [plugin.config]: a text says what is wrong with it. */
WM_CONFIGURE(config) {
    size_t at = 0;
    wm_str key, value;
    while (wm_json_each(config, &at, &key, &value)) {
        const char *name = wm_json_text(key);
        if (strcmp(name, "senders")) return wm_format("unknown key `%s`; there is `senders`", name);
        const char *wrong = take_senders(value);
        if (wrong) return wrong;
    }
    return senders ? NULL : "senders: missing, a list of addresses whose mail is refused";
}

WM_MAIL(c, t) {
    (void)c;
    for (char **sender = senders; sender && *sender; sender++) {
        if (wm_equal_nocase(t->reverse_path, *sender)) {
            wm_outcome refused = wm_deny("We take no mail from you");
            wm_status(&refused, 5, 7, 1);
            return refused;
        }
    }
    return wm_next();
}
