/* The functions behind the commands whose arguments the table (verbs.c) describes. */
#ifndef CLI_VERB_FUNCTIONS_H
#define CLI_VERB_FUNCTIONS_H

#include "cli/verb.h"

int cli_config(struct cli *cli, const struct arguments *arguments, struct error *err);
int cli_image_build(struct cli *cli, const struct arguments *arguments, struct error *err);
int cli_image_import(struct cli *cli, const struct arguments *arguments, struct error *err);
int cli_image_ls(struct cli *cli, const struct arguments *arguments, struct error *err);
int cli_image_rm(struct cli *cli, const struct arguments *arguments, struct error *err);
int cli_token(struct cli *cli, const struct arguments *arguments, struct error *err);

int verb_tenant_create(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_tenant_ls(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_tenant_show(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_tenant_suspend(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_tenant_resume(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_tenant_rm(struct cli *cli, const struct arguments *arguments, struct error *err);

int verb_project_create(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_project_ls(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_project_rm(struct cli *cli, const struct arguments *arguments, struct error *err);

int verb_key_create(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_key_ls(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_key_revoke(struct cli *cli, const struct arguments *arguments, struct error *err);

int verb_quota_show(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_quota_set(struct cli *cli, const struct arguments *arguments, struct error *err);

int verb_ps(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_inspect(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_create(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_start(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_stop(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_rm(struct cli *cli, const struct arguments *arguments, struct error *err);

int verb_cp(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_cat(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_ls(struct cli *cli, const struct arguments *arguments, struct error *err);

int verb_exec(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_processes(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_logs(struct cli *cli, const struct arguments *arguments, struct error *err);

int verb_run_code(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_events(struct cli *cli, const struct arguments *arguments, struct error *err);
int verb_usage(struct cli *cli, const struct arguments *arguments, struct error *err);

#endif
