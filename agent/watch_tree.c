#include "agent/watch_tree.h"

#include "agent/text.h"

#include <string.h>

void watch_tree_clear(struct watch_tree *tree)
{
    tree->used = tree->free = 0;
    memset(tree->buckets, 0, sizeof(tree->buckets));
}

static uint32_t *bucket_of(struct watch_tree *tree, int wd)
{
    return &tree->buckets[(uint32_t)wd % WATCH_TREE_BUCKETS];
}

uint32_t watch_tree_find(const struct watch_tree *tree, int wd)
{
    uint32_t folder = tree->buckets[(uint32_t)wd % WATCH_TREE_BUCKETS];

    while (folder != 0 && tree->folders[folder].wd != wd)
        folder = tree->folders[folder].chain;
    return folder;
}

static void link_child(struct watch_tree *tree, uint32_t folder, uint32_t parent)
{
    struct watch_folder *child = &tree->folders[folder];

    child->parent = parent;
    child->before = 0;
    child->next = parent == 0 ? 0 : tree->folders[parent].first;
    if (parent == 0)
        return;
    if (child->next != 0)
        tree->folders[child->next].before = folder;
    tree->folders[parent].first = folder;
}

static void unlink_child(struct watch_tree *tree, uint32_t folder)
{
    const struct watch_folder *child = &tree->folders[folder];

    if (child->next != 0)
        tree->folders[child->next].before = child->before;
    if (child->before != 0)
        tree->folders[child->before].next = child->next;
    else if (child->parent != 0)
        tree->folders[child->parent].first = child->next;
}

static void set_name(struct watch_folder *folder, const char *name)
{
    /* A name that the kernel has told is not longer. */
    if (!text_copy(folder->name, sizeof(folder->name), name))
        folder->name[0] = '\0';
}

uint32_t watch_tree_add(struct watch_tree *tree, int wd, uint32_t parent, const char *name)
{
    uint32_t folder = tree->free;
    uint32_t *bucket = bucket_of(tree, wd);

    if (folder != 0)
        tree->free = tree->folders[folder].next;
    else if (tree->used < AGENT_WATCH_FOLDERS_MAX)
        folder = ++tree->used;
    else
        return 0;
    tree->folders[folder].wd = wd;
    tree->folders[folder].first = 0;
    tree->folders[folder].chain = *bucket;
    *bucket = folder;
    set_name(&tree->folders[folder], name);
    link_child(tree, folder, parent);
    return folder;
}

static bool is_below(const struct watch_tree *tree, uint32_t folder, uint32_t above)
{
    while (folder != 0 && folder != above)
        folder = tree->folders[folder].parent;
    return folder == above;
}

void watch_tree_move(struct watch_tree *tree, uint32_t folder, uint32_t parent, const char *name)
{
    /* What is told late can contradict what is: no circle comes of it. */
    if (tree->folders[folder].parent == 0 || is_below(tree, parent, folder))
        return;
    unlink_child(tree, folder);
    set_name(&tree->folders[folder], name);
    link_child(tree, folder, parent);
}

uint32_t watch_tree_child(const struct watch_tree *tree, uint32_t parent, const char *name)
{
    uint32_t found = 0;

    for (uint32_t child = tree->folders[parent].first; child != 0;
         child = tree->folders[child].next)
        if (strcmp(tree->folders[child].name, name) == 0)
            found = child;
    return found;
}

uint32_t watch_tree_leaf(const struct watch_tree *tree, uint32_t folder)
{
    while (tree->folders[folder].first != 0)
        folder = tree->folders[folder].first;
    return folder;
}

void watch_tree_remove(struct watch_tree *tree, uint32_t folder)
{
    uint32_t *at = bucket_of(tree, tree->folders[folder].wd);

    while (*at != folder)
        at = &tree->folders[*at].chain;
    *at = tree->folders[folder].chain;
    unlink_child(tree, folder);
    tree->folders[folder].next = tree->free;
    tree->free = folder;
}

/* Puts a text before `*end`, of which `*left` bytes are free. */
static bool prepend(char **end, size_t *left, const char *text)
{
    size_t length = strlen(text);

    if (length > *left)
        return false;
    *end -= length;
    *left -= length;
    memcpy(*end, text, length);
    return true;
}

bool watch_tree_path(const struct watch_tree *tree, uint32_t folder, const char *name, char *path,
                     size_t size)
{
    char *end = path + size - 1;
    size_t left = size - 1;
    bool first = *name == '\0';

    *end = '\0';
    if (!prepend(&end, &left, name))
        return false;
    for (; tree->folders[folder].parent != 0; folder = tree->folders[folder].parent) {
        if ((!first && !prepend(&end, &left, "/")) ||
            !prepend(&end, &left, tree->folders[folder].name))
            return false;
        first = false;
    }
    memmove(path, end, size - left);
    return true;
}
