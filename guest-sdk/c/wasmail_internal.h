/* What the files of the SDK share, and plugins do not need. */
#ifndef WASMAIL_INTERNAL_H
#define WASMAIL_INTERNAL_H

#include "wasmail.h"

/* Traps when there is no memory. */
void *wm_must(void *memory);
/* Memory that is freed at the end of this call. */
char *wm_scratch(size_t size);
void wm_forget_scraps(void);
/* A copy for the host to read. */
wm_str wm_given(const char *text, size_t len);
/* A verdict with a text of one line or more, or with none. */
wm_outcome wm_verdict_with(wm_verdict verdict, const char *text);
/* As the contract has it. */
const char *wm_verdict_name(wm_verdict verdict);

#endif
