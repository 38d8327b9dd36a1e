dag = None
