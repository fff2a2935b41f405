// SPDX-License-Identifier: Apache-2.0
/* accept.h - which errors of accept(2) are those of a connection that died in the queue, and not of
 * the listener: the next one is wanted. EPERM and EOPNOTSUPP can be either's; the callers judge. */
#ifndef WEFT_IO_ACCEPT_H
#define WEFT_IO_ACCEPT_H
#include <errno.h>
#include <stdbool.h>

/** rc: negative errno of accept. */
static inline bool weft__accept_died(long rc)
{
    switch (-rc) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT: /* the connection's own */
        return true;
    default:
        return false;
    }
}
#endif
