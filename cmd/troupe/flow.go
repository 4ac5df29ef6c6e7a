package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"troupe/choreo"
	"troupe/choreo/check"
	"troupe/choreo/draw"
	"troupe/handlers"
	"troupe/schemas"
)

func flowCommand() (*cobra.Command, error) {
	flow := &cobra.Command{Use: "flow", Short: "The choreography: who reacts to what, and whether it is sound"}
	flow.AddCommand(flowShowCommand(), flowCheckCommand(), flowGenerateCommand())
	return flow, nil
}

// theFlow is the choreography as its lines say, without an outside.
func theFlow() (*choreo.Flow, error) { return handlers.Flow(handlers.Outside{}) }

func flowCheckCommand() *cobra.Command {
	to := &answer{}
	return to.on(&cobra.Command{
		Use: "check", Short: "Prove that the flow ends, and is undone wherever it can fail", Args: noArgs,
		Long: "Checks the lines of handlers/flow.go by the five rules of choreo/check, and prints what is wrong as a path\n" +
			"of facts and its cure. Exit code 1 when it has findings.",
		RunE: func(*cobra.Command, []string) error {
			flow, err := theFlow()
			if err != nil {
				return err
			}
			report := check.Flow(flow, check.Options{Schema: schemas.Has, Versions: schemas.Versions})
			if err := to.give(report, func(w io.Writer) { printReport(w, report) }); err != nil {
				return err
			}
			if n := len(report.Findings); n > 0 {
				return fmt.Errorf("the flow has %d findings", n)
			}
			return nil
		},
	})
}

func printReport(w io.Writer, r check.Report) {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\n\n", f)
	}
	for _, e := range r.Excused {
		fmt.Fprintf(w, "excused (rule %d): %s\n  because: %s\n\n", e.Rule, e.What, e.Reason)
	}
	fmt.Fprintf(w, "%d lines, %d sagas: %d findings, %d excused\n", r.Lines, r.Sagas, len(r.Findings), len(r.Excused))
}

func flowShowCommand() *cobra.Command {
	to := &answer{}
	return to.on(&cobra.Command{
		Use: "show [SAGA]", Short: "Show a saga: its steps, its pivot, its worst-case time and the order of its undos",
		Long: "A saga is named by the command that begins it. Without a name, lists them all.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%s takes one saga, not %q", c.CommandPath(), args)}
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			flow, err := theFlow()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return sagaNames(check.Sagas(flow)), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			flow, err := theFlow()
			if err != nil {
				return err
			}
			sagas := check.Sagas(flow)
			if len(args) == 0 {
				return to.give(items(sagas), func(w io.Writer) { printSagas(w, sagas) })
			}
			for _, s := range sagas {
				if s.Name == args[0] {
					return to.give(s, func(w io.Writer) { printSaga(w, s) })
				}
			}
			return usageError{fmt.Errorf("there is no saga %q; they are: %s", args[0], strings.Join(sagaNames(sagas), ", "))}
		},
	})
}

func sagaNames(sagas []check.Saga) (names []string) {
	for _, s := range sagas {
		names = append(names, s.Name)
	}
	return names
}

func printSagas(w io.Writer, sagas []check.Saga) {
	fmt.Fprintln(w, "SAGA\tSTEPS\tPIVOT\tSUCCESS\tWORST CASE")
	for _, s := range sagas {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", s.Name, len(s.Steps)-1, orNone(s.Pivot), pathTime(s.Success), pathTime(s.WorstCase))
	}
}

func printSaga(w io.Writer, s check.Saga) {
	fmt.Fprintf(w, "%s\n\n", s.Name)
	fmt.Fprintln(w, "STEP\tON\tKIND\tWITHIN\tEMITS\tFAILS WITH\tUNDOES\tUNDONE BY")
	for _, step := range s.Steps {
		undoneBy := strings.Join(step.UndoneBy, ", ")
		if undoneBy == "" && step.Reason != "" {
			undoneBy = "– (" + step.Reason + ")"
		}
		within := ""
		if step.WithinSeconds > 0 {
			within = draw.Short(step.Within())
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", step.Consumer, step.On, step.Kind, within,
			strings.Join(step.Emits, ", "), strings.Join(step.FailsWith, ", "), strings.Join(step.Undoes, ", "), undoneBy)
	}
	fmt.Fprintf(w, "\npivot       %s\n", orNone(s.Pivot))
	fmt.Fprintf(w, "success     %s\n", pathLine(s.Success))
	fmt.Fprintf(w, "worst case  %s\n", pathLine(s.WorstCase))
	for _, u := range s.Undoing {
		fmt.Fprintf(w, "\nwhen %s says %s (at most %s)\n", u.Of, u.With, pathTime(u.Time))
		for _, o := range u.Order {
			fmt.Fprintf(w, "  %d. on %s, %s undoes %s\n", o.Turn, o.On, o.Consumer, strings.Join(o.Undoes, " and "))
		}
		fmt.Fprintf(w, "  ends with %s\n", orNone(u.Ends))
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "–"
	}
	return strings.Join(names, ", ")
}

func pathTime(p *check.Path) string {
	if p == nil {
		return "no bound"
	}
	return draw.Short(p.Duration())
}

func pathLine(p *check.Path) string {
	if p == nil || len(p.Lines) == 0 {
		return pathTime(p)
	}
	return pathTime(p) + ": " + strings.Join(p.Lines, ", then ")
}
