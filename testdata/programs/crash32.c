// Writes to a field of a null pointer, without any library. Used by
// crates/vmatlas-cli/tests/it/explain.rs as a 32-bit program.
struct node {
    int before[3], field;
};

static struct node *volatile nothing;

void _start(void)
{
    nothing->field = 5;
}
