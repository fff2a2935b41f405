// SPDX-License-Identifier: Apache-2.0
/* reply_views.c - see reply_views.h. */
#include "session/reply_views.h"

const struct cast_publication *views_of(
    struct cast_scratch *scratch, const struct picked *pubs, struct weft_span epoch)
{
    if (pubs->count == 0)
        return NULL;
    struct cast_publication *views = cast_scratch_alloc(scratch, pubs->count * sizeof *views);
    struct cast_client_info *infos = cast_scratch_alloc(scratch, pubs->count * sizeof *infos);
    if (!views || !infos)
        return NULL;
    for (size_t i = 0; i < pubs->count; i++)
        views[i] = pub_view(pubs->pubs[i], epoch, &infos[i]);
    return views;
}
