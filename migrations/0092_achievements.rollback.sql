DROP TABLE read.achievement, read.user_achievements, read.achievement_event, read.achievement_progress;
DELETE FROM es.follower WHERE name IN ('achievements', 'award_achievements');
