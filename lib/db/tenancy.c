#include <atoll/tenancy.h>
#include <stdlib.h>
#include <string.h>

void project_record_free(struct project_record *record)
{
    free(record->name);
    free(record->labels_json);
    free(record->policy_json);
    memset(record, 0, sizeof(*record));
}

void tenant_record_free(struct tenant_record *record)
{
    free(record->name);
    memset(record, 0, sizeof(*record));
}

void node_record_free(struct node_record *record)
{
    free(record->id);
    free(record->version);
    memset(record, 0, sizeof(*record));
}
