DROP INDEX read.moderation_case_warned;
DROP TABLE read.promotion_criteria;
