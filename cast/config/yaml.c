// SPDX-License-Identifier: Apache-2.0
/*
 * yaml.c - a YAML document as a JSON tree, so that both file formats share everything after it.
 *
 * libyaml parses; here plain scalars get their type by YAML 1.2's core schema (null, true, false,
 * integers also in hex and octal, floats), quoted ones are strings, anchors are resolved and merge
 * keys ("<<") applied. "yes", "no", "on", "off" are strings, as in Go's yaml.v3.
 *
 * A document with aliases can describe a tree of exponential size: the number of nodes made is
 * bounded, and so is their depth (an alias to an ancestor would be endless).
 *
 * Concurrency: pure function. Limits: NODES_MOST nodes, DEPTH_MOST levels.
 */
#include "config/inner.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { NODES_MOST = 200000, DEPTH_MOST = 64 };

struct reader {
    yaml_document_t doc;
    size_t nodes;
    char *why;
    size_t why_bytes;
};

static json_t *convert(struct reader *r, int index, int depth);

static json_t *fail_at(struct reader *r, const yaml_node_t *node, const char *what)
{
    snprintf(r->why, r->why_bytes, "line %zu: %s", node->start_mark.line + 1, what);
    return NULL;
}

static bool is_null(const char *s)
{
    return *s == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0 || strcmp(s, "Null") == 0 ||
           strcmp(s, "NULL") == 0;
}

static bool is_bool(const char *s, bool *ret)
{
    *ret = strcmp(s, "true") == 0 || strcmp(s, "True") == 0 || strcmp(s, "TRUE") == 0;
    return *ret || strcmp(s, "false") == 0 || strcmp(s, "False") == 0 || strcmp(s, "FALSE") == 0;
}

static bool is_int(const char *s, long long *ret)
{
    char *end;
    const char *digits = s + (*s == '-' || *s == '+');
    int base = 10;
    if (strncmp(digits, "0x", 2) == 0)
        base = 16;
    else if (strncmp(digits, "0o", 2) == 0)
        base = 8;
    if (base != 10 && digits != s)
        return false;
    const char *from = base == 10 ? digits : digits + 2;
    if (!isxdigit((unsigned char)*from))
        return false;
    errno = 0;
    *ret = strtoll(from, &end, base);
    if (*s == '-')
        *ret = -*ret;
    return errno == 0 && *end == '\0';
}

static bool is_float(const char *s, double *ret)
{
    char *end;
    if (strspn(s, "+-.0123456789eE") != strlen(s) || !strpbrk(s, "0123456789"))
        return false;
    *ret = strtod(s, &end);
    return *end == '\0' && isfinite(*ret);
}

static json_t *convert_scalar(struct reader *r, const yaml_node_t *node)
{
    const char *s = (const char *)node->data.scalar.value;
    size_t bytes = node->data.scalar.length;
    bool flag;
    long long whole;
    double real;
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strlen(s) == bytes) {
        if (is_null(s))
            return json_null();
        if (is_bool(s, &flag))
            return json_boolean(flag);
        if (is_int(s, &whole))
            return json_integer(whole);
        if (is_float(s, &real))
            return json_real(real);
    }
    json_t *j = json_stringn(s, bytes);
    return j ? j : fail_at(r, node, "this text is not UTF-8");
}

static json_t *convert_list(struct reader *r, const yaml_node_t *node, int depth)
{
    json_t *list = json_array();
    for (yaml_node_item_t *i = node->data.sequence.items.start;
         list && i < node->data.sequence.items.top; i++) {
        json_t *item = convert(r, *i, depth + 1);
        if (!item || json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* Adds what a merge key names, where the mapping has no such key of its own. */
static bool merge(json_t *object, json_t *from)
{
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_array(from)) {
        json_array_foreach(
            from, i, value) if (!json_is_object(value) || !merge(object, value)) return false;
        return true;
    }
    if (!json_is_object(from))
        return false;
    json_object_foreach(from, key, value) if (!json_object_get(object, key))
        json_object_set(object, key, value);
    return true;
}

/* Converts one key and value into the mapping; merge keys are kept in *merged for the end. */
static bool convert_pair(
    struct reader *r, yaml_node_pair_t *pair, int depth, json_t *object, json_t *merged)
{
    const yaml_node_t *key = yaml_document_get_node(&r->doc, pair->key);
    if (key->type != YAML_SCALAR_NODE)
        return fail_at(r, key, "a key must be plain text") != NULL;
    const char *name = (const char *)key->data.scalar.value;
    json_t *value = convert(r, pair->value, depth + 1);
    if (!value)
        return false;
    if (strcmp(name, "<<") == 0 && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return json_array_append_new(merged, value) == 0;
    if (json_object_get(object, name)) {
        json_decref(value);
        return fail_at(r, key, "this key stands here a second time") != NULL;
    }
    if (json_object_set_new(object, name, value) != 0)
        return fail_at(r, key, "this key is not UTF-8") != NULL;
    return true;
}

static json_t *convert_mapping(struct reader *r, const yaml_node_t *node, int depth)
{
    json_t *object = json_object(), *merged = json_array();
    bool good = object && merged;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
         good && p < node->data.mapping.pairs.top; p++)
        good = convert_pair(r, p, depth, object, merged);
    if (good && !merge(object, merged)) {
        good = false;
        fail_at(r, node, "a merge key (<<) must name a mapping or a list of them");
    }
    json_decref(merged);
    if (!good) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *convert(struct reader *r, int index, int depth)
{
    const yaml_node_t *node = yaml_document_get_node(&r->doc, index);
    if (++r->nodes > NODES_MOST || depth > DEPTH_MOST)
        return fail_at(r, node, "the document is nested too deeply or grows too large");
    switch (node->type) {
    case YAML_SCALAR_NODE:
        return convert_scalar(r, node);
    case YAML_SEQUENCE_NODE:
        return convert_list(r, node, depth);
    case YAML_MAPPING_NODE:
        return convert_mapping(r, node, depth);
    default:
        return fail_at(r, node, "an empty node");
    }
}

json_t *cast_yaml_parse(const char *text, size_t bytes, char *why, size_t why_bytes)
{
    struct reader r = {.why = why, .why_bytes = why_bytes};
    yaml_parser_t parser;
    json_t *root = NULL;
    snprintf(why, why_bytes, "no memory");
    if (!yaml_parser_initialize(&parser))
        return NULL;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    if (!yaml_parser_load(&parser, &r.doc)) {
        snprintf(why, why_bytes, "line %zu: %s", parser.problem_mark.line + 1,
            parser.problem ? parser.problem : "no memory");
    } else {
        root = yaml_document_get_root_node(&r.doc) ? convert(&r, 1, 0) : json_object();
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&parser);
    return root;
}
