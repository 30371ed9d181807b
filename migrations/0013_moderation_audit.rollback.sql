DROP TABLE read.audit_stream, read.audit_entry, read.moderation_report, read.moderation_case;
