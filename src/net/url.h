// SPDX-License-Identifier: Apache-2.0
/*
 * url.h - the little of URLs that a client needs: whom to call, and what to ask for.
 *
 * "scheme://host[:port][/path][?query][#fragment]". Names before an @ are refused: passwords do not
 * belong there. What is percent-encoded stays so; what should be and is not is refused where the
 * head is written. A reference in a Location field may leave any of it out from the left; dot
 * segments are passed on as they are.
 *
 * Concurrency: pure.
 */
#ifndef WEFT_NET_URL_H
#define WEFT_NET_URL_H
#include <weft/span.h>

enum { WEFT__URL_ADDRESS_BYTES = 280 };

struct weft__url {
    struct weft_span host;                 /* host[:port], as it stands in the text */
    struct weft_span target;               /* path and query, "/" where there is none */
    char *made;                            /* target, where it had to be put together */
    char address[WEFT__URL_ADDRESS_BYTES]; /* host:port for weft_dial */
};

/** Spans point into text. 0; -EPROTONOSUPPORT tls (the name of the scheme's secure sister) or
 *  another scheme; -EINVAL; -ENOMEM. On failure a sentence is left by weft_fail. */
int weft__url_parse(
    const char *text, const char *scheme, const char *tls, struct weft__url *ret_url);
void weft__url_fini(struct weft__url *u);

/** The URL that a reference (a Location) names, seen from base ("http://..."); owned. NULL: no
 *  memory. */
char *weft__url_resolve(const char *base, struct weft_span ref);
#endif
