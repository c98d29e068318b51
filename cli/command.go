package cli

import (
	"strings"

	sources "github.com/authfi/authfi/proto"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// commands are all of the API.
func (a *API) commands() []*cobra.Command {
	o := &a.options
	t := tree{options: o}
	for _, n := range nouns {
		t.noun(n.name, n.alias, n.short)
	}
	t.add("members", o.membersCommand())
	for _, r := range rows {
		t.add(r.words, o.command(r))
	}
	t.add("backup", o.backupCommand())
	t.add("recovery-key create", o.createRecoveryKeyCommand())
	t.add("events watch", o.eventsCommand())
	t.add("log tail", o.tailCommand())
	t.add("audit export", o.auditExportCommand())
	t.add("audit verify", o.verifyCommand())
	t.add("policy lint", o.lintCommand())
	t.add("policy test", o.tryCommand())
	t.add("enforcement status", o.enforcementStatusCommand())
	t.add("enforcement top", o.enforcementTopCommand())
	t.add("enforcement trace", o.enforcementTraceCommand())
	t.add("export", o.exportCommand())
	t.add("import", o.importCommand())
	t.add("types", o.typesCommand())
	return t.top
}

// tree hangs commands below their nouns.
type tree struct {
	options *options
	top     []*cobra.Command
	at      map[string]*cobra.Command
}

func (t *tree) noun(words, alias, short string) {
	cmd := &cobra.Command{Short: short, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return Unknown(cmd, args[0])
		}
		return cmd.Help()
	}}
	cmd.Args = cobra.ArbitraryArgs
	if alias != "" {
		cmd.Aliases = []string{alias}
	}
	t.add(words, cmd)
}

// add hangs a command where its words say. The last word is its name.
func (t *tree) add(words string, cmd *cobra.Command) {
	above, name := "", words
	if i := strings.LastIndexByte(words, ' '); i >= 0 {
		above, name = words[:i], words[i+1:]
	}
	cmd.Use = strings.TrimSpace(name + " " + cmd.Use)
	if t.at == nil {
		t.at = map[string]*cobra.Command{}
	}
	t.at[words] = cmd
	if above != "" {
		t.at[above].AddCommand(cmd)
		return
	}
	if cmd.Flags().Lookup("output") == nil { // of export it is the file
		t.options.addOutput(cmd.PersistentFlags())
	}
	t.options.add(cmd.PersistentFlags())
	cmd.RegisterFlagCompletionFunc("org", t.options.complete("ORG"))
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{formatTable, formatJSON, formatJSONLines, formatYAML}, cobra.ShellCompDirectiveNoFileComp))
	t.top = append(t.top, cmd)
}

// call is a row with its descriptors, and what the command line gave it.
type call struct {
	row
	*options
	method  protoreflect.MethodDescriptor
	route   route
	args    []arg
	flags   []fieldFlag
	items   protoreflect.FieldDescriptor // of the answer, when it is a list
	paged   bool
	all     bool
	limit   int
	cursor  string
	ifMatch uint64
	repeat  string // Idempotency-Key
	atLeast uint64
	quiet   bool
	yes     bool
}

// arg is a word of the command line that fills a field.
type arg struct {
	metavar string
	field   protoreflect.FieldDescriptor
	several bool
}

func readArgs(text string, input protoreflect.MessageDescriptor) (args []arg) {
	if text == "" {
		return nil
	}
	for _, part := range strings.Split(text, ", ") {
		metavar, field, _ := strings.Cut(part, " ")
		name, several := strings.CutSuffix(metavar, "...")
		descriptor := input.Fields().ByName(protoreflect.Name(field))
		if descriptor == nil {
			panic("cli: " + string(input.Name()) + " has no field " + field)
		}
		args = append(args, arg{metavar: name, field: descriptor, several: several})
	}
	return args
}

func (o *options) command(r row) *cobra.Command {
	cmd, _ := o.build(r)
	return cmd
}

func (o *options) build(r row) (*cobra.Command, *call) {
	c := &call{row: r, options: o, method: methodOf(r.procedure)}
	c.route, _ = routeOf(c.method)
	c.args = readArgs(r.args, c.method.Input())
	if c.items, c.paged = listOf(c.method); !c.paged && r.columns == "" {
		c.items = nil
	}
	cmd := &cobra.Command{
		Short: r.short, Long: c.long(), Example: "  authfi " + r.example,
		Args: c.checkArgs, ValidArgsFunction: c.completeArgs, RunE: c.run,
	}
	for _, a := range c.args {
		cmd.Use = strings.TrimSpace(cmd.Use + " " + a.metavar)
		if a.several {
			cmd.Use += "..."
		}
	}
	c.addFlags(cmd)
	return cmd, c
}

// long adds what the API says about the procedure.
func (c *call) long() string {
	long := c.short + "."
	if said := sources.Comments()[c.procedure]; said != "" {
		long += "\n\n" + said
	}
	for _, a := range c.args {
		if k, ok := kinds[a.metavar]; ok {
			long += "\n\n" + a.metavar + " is " + k.spelled() + "."
		}
		if a.metavar == commandMetavar {
			long += "\n\nCOMMAND is a command that makes the change alone, in quotes, or @FILE with one on each\nline or with operations as JSON."
		}
	}
	return long
}

// listOf is the list in an answer: its one repeated message, and whether it
// comes in pages.
func listOf(method protoreflect.MethodDescriptor) (items protoreflect.FieldDescriptor, paged bool) {
	paged = method.Input().Fields().ByName(cursorField) != nil
	name := string(method.Output().Name())
	if !paged && !strings.HasPrefix(name, "Get") && !strings.HasPrefix(name, "List") {
		return nil, false
	}
	fields := method.Output().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); field.IsList() && field.Message() != nil {
			return field, paged
		}
	}
	return nil, false
}

func (c *call) addFlags(cmd *cobra.Command) {
	taken := map[protoreflect.Name]bool{orgField: true, maskField: true, limitField: c.paged, cursorField: c.paged}
	for _, a := range c.args {
		taken[a.field.Name()] = true
		// The server takes a role's name beside its id, and one user beside several.
		taken[protoreflect.Name(strings.TrimSuffix(string(a.field.Name()), "_id")+"_name")] = true
		taken[protoreflect.Name(strings.TrimSuffix(string(a.field.Name()), "s"))] = true
	}
	fields := c.method.Input().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); !taken[field.Name()] {
			added := addField(cmd.Flags(), field)
			c.completeFlag(cmd, added)
			c.flags = append(c.flags, added)
		}
	}
	f := cmd.Flags()
	if c.paged {
		f.BoolVar(&c.all, "all", false, "follow the pages to the end")
		f.IntVar(&c.limit, "limit", limitDefault, "at most so many items, over as many pages as that takes")
		f.StringVar(&c.cursor, "cursor", "", "go on where an earlier answer ended")
	}
	if c.reads() {
		f.Uint64Var(&c.atLeast, "at-least", 0, "answer from a state that has this index (X-Authfi-Index)")
	} else {
		f.StringVar(&c.repeat, "idempotency-key", "", "makes a repeat of this request one change")
	}
	if strings.Contains(sources.Comments()[c.procedure], "If-Match") {
		f.Uint64Var(&c.ifMatch, "if-match", 0, "only when the version is still this one")
	}
	if c.procedure == "PermissionService.Check" {
		f.BoolVarP(&c.quiet, "quiet", "q", false, "print nothing; exit 1 when the answer is no")
	}
	if c.asks {
		f.BoolVarP(&c.yes, "yes", "y", false, "do not ask on a terminal")
	}
}

// reads is true of a procedure that changes nothing.
func (c *call) reads() bool {
	options, ok := c.method.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

func (c *call) checkArgs(cmd *cobra.Command, args []string) error {
	several := len(c.args) > 0 && c.args[len(c.args)-1].several
	switch {
	case len(args) == len(c.args) || several && len(args) > len(c.args):
		return nil
	case len(args) < len(c.args):
		return usage("%s needs %s, as in: authfi %s", cmd.CommandPath(), c.args[len(args)].metavar, c.example)
	}
	return usage("%s does not take %q; quote what has spaces; see %s --help", cmd.CommandPath(), args[len(c.args)], cmd.CommandPath())
}

// Unknown refuses a word that is no command and offers those that are like it.
func Unknown(cmd *cobra.Command, word string) error {
	cmd.SuggestionsMinimumDistance = 2
	if like := cmd.SuggestionsFor(word); len(like) > 0 {
		return usage("%s has no command %q; do you mean %s?", cmd.CommandPath(), word, strings.Join(like, " or "))
	}
	return usage("%s has no command %q; see %s --help", cmd.CommandPath(), word, cmd.CommandPath())
}
