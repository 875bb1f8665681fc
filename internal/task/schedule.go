package task

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// Tick creates the tasks of all schedules that have become due, each once, however many processes tick: call it about
// once a minute. A schedule that was due several times since the last look is due once. The first look at a schedule only
// takes note of it.
func Tick(ctx context.Context, s Store, now time.Time) error {
	schedules, err := s.Schedules(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range schedules {
		tasks, due, err := d.at(now)
		if err == nil && due {
			_, err = s.FireSchedule(ctx, d, now, tasks)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("task: schedule of workspace %s: %w", d.Workspace, err))
		}
	}
	return errors.Join(errs...)
}

// at says whether the schedule is due, and the tasks that it makes then.
func (d Schedule) at(now time.Time) (tasks []Task, due bool, err error) {
	if d.LastDue.IsZero() {
		return nil, true, nil
	}
	zone, err := time.LoadLocation(d.Timezone)
	if err != nil {
		return nil, false, err
	}
	schedule, err := cron.ParseStandard(d.Cron)
	if err != nil {
		return nil, false, err
	}
	next := schedule.Next(d.LastDue.In(zone))
	if next.IsZero() || next.After(now) { // zero: a date that never comes, as 31 February
		return nil, false, nil
	}
	for _, k := range d.Kinds {
		tasks = append(tasks, New(k, Params{}, BySchedule, now))
	}
	return tasks, true, nil
}
