-- What a project lets run (docs/api/command-policy.md): {mode, allow, block}; NULL: never set.
ALTER TABLE projects ADD COLUMN command_policy json_object;
