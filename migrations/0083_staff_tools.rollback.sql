DROP INDEX es.command_context_ip;
DROP INDEX es.command_actor;
DROP TABLE read.linked_account;
