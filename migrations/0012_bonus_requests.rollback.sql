DROP TABLE read.request_bounty, read.request, read.bonus_rule, read.ledger_balance, read.ledger_open_entry,
  read.ledger_posting, read.ledger_account;
