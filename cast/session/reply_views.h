// SPDX-License-Identifier: Apache-2.0
/* reply_views.h - publications and presence as the encoders want them, cut from a scratch. */
#ifndef CAST_REPLY_VIEWS_H
#define CAST_REPLY_VIEWS_H
#include "core/stream.h"
#include "protocol/scratch.h"

/** Views of picked publications; good until the scratch is reset. NULL for none, or without memory.
 */
const struct cast_publication *views_of(
    struct cast_scratch *scratch, const struct picked *pubs, struct weft_span epoch);
#endif
